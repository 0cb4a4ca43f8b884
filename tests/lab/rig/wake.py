"""Wake-on-LAN: what a sleeping PC's network card does, done for the lab's PCs that are off."""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.lab.rig.host import say
from tests.lab.rig.machine import Machine
from tests.lab.rig.network import Network

_ETH_P_ALL = 3
# six times ff, then sixteen times the address: anywhere in the frame, in UDP or bare
_MAGIC = re.compile(rb"\xff{6}(.{6})\1{15}", re.DOTALL)


def address_in(frame: bytes) -> str:
    """The hardware address a frame calls awake, e.g. 02:77:00:00:00:65, or "" if it is no magic packet."""
    match = _MAGIC.search(frame)
    return match[1].hex(":") if match else ""


@contextmanager
def wake_on_lan(network: Network, machines: Callable[[], Sequence[Machine]]) -> Iterator[None]:
    """Within the block, switch on each machine whose magic packet is seen on the lab's own network."""
    with network.here("lan"):
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        ears.bind(("br0", _ETH_P_ALL))
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            if select.select([ears], [], [], 0.1)[0] and (called := address_in(ears.recv(2048))):
                for machine in machines():
                    if machine.mac == called and not machine.is_up:
                        say(f"{machine.name} is woken by a magic packet")
                        machine.switch_on()

    listener = threading.Thread(target=listen, name="wake-on-lan", daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()
        ears.close()
