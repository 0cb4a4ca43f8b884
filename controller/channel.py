"""One connection of the exchange with a station, and what all of them share."""

import ssl
import threading
from dataclasses import dataclass

from controller.agent_client import AgentClient, Peer, Reaper
from controller.clock import Clock
from controller.failures import Address
from controller.live import Live


@dataclass
class Shared:
    """What all links use. `tls` is replaced as a whole when our certificate or the revocations change."""

    lab: str
    hold_s: float
    tls: ssl.SSLContext
    clock: Clock
    live: Live
    reaper: Reaper


class Channel:
    """One connection, made when it is needed and made anew when the place or the trust is another."""

    def __init__(self, station: str, shared: Shared) -> None:
        self._station = station
        self._shared = shared
        self._lock = threading.Lock()
        self._client: AgentClient | None = None
        self.stumbled = False
        self._tls: ssl.SSLContext | None = None

    def to(self, address: Address) -> AgentClient:
        """A client for that address, the same as before where nothing changed."""
        tls = self._shared.tls
        with self._lock:
            if self._client is not None and self._client.address == address and self._tls is tls:
                return self._client
            if self._client is not None:
                self._client.close()
            self._tls = tls
            self._client = AgentClient(
                address, self._shared.reaper, Peer(self._shared.lab, self._station, tls)
            )
            return self._client

    def cut(self) -> None:
        """End what is under way on it."""
        with self._lock:
            client = self._client
        if client is not None:
            client.cut()

    def close(self) -> None:
        """Done with it."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
