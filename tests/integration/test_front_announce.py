"""The announcement, as another host sees it: real mDNS, on loopback and between network namespaces."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.front_kit import (
    REPOSITORY,
    STATION,
    Authority,
    EnforcerPeer,
    FrontProcess,
    eventually,
    paired,
)


class Peer:
    """tests.integration.mdns_peer as a process; `seen` is the newest of each name."""

    def __init__(self, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.integration.mdns_peer", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()
        assert self._ready.wait(20)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what = json.loads(line)
            if "ready" in what:
                self._ready.set()
            elif what.get("gone"):
                self.seen.pop(what["name"], None)
            else:
                self.seen[what["name"]] = what

    def addresses(self, name: str) -> list[str]:
        return list(self.seen.get(name, {}).get("addresses", []))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def closing() -> Iterator[Callable[[Any], Any]]:
    """Closes, kills or stops what it was given, last first."""
    things: list[Any] = []

    def keep(thing: Any) -> Any:
        things.append(thing)
        return thing

    yield keep
    for thing in reversed(things):
        end = getattr(thing, "close", None) or getattr(thing, "kill", None) or thing.stop
        end()


Keep = Callable[[Any], Any]


def made(
    keep: Keep, root: Path, prefix: tuple[str, ...] = (), **settings: Any
) -> tuple[FrontProcess, EnforcerPeer]:
    front = keep(FrontProcess(root, prefix, announce=True, **settings))
    enforcer = keep(EnforcerPeer(front.paths))
    enforcer.start()
    return front, enforcer


def test_what_is_announced_and_that_pairing_changes_it(tmp_path: Path, closing: Keep) -> None:
    browser = closing(Peer("browse", "127.0.0.1"))
    front, enforcer = made(closing, tmp_path / "pc", station="pc-41")
    front.start()
    seen = eventually(lambda: browser.seen.get("pc-41"))
    assert seen["port"] == front.port
    assert seen["addresses"] == ["127.0.0.1"]
    assert (seen["id"], seen["contract"], seen["pairing"]) == ("pc-41", "1", "unpaired")
    assert seen["version"]
    authority = Authority(tmp_path / "pki")
    paired(front, enforcer, authority, authority.station(name="pc-41"))
    eventually(lambda: browser.seen["pc-41"]["pairing"] == "paired")
    assert front.stop() == 0
    eventually(lambda: "pc-41" not in browser.seen)


def test_a_liar_under_our_name_displaces_nobody(tmp_path: Path, closing: Keep) -> None:
    browser = closing(Peer("browse", "127.0.0.1"))
    front, _ = made(closing, tmp_path / "pc", station="pc-42")
    front.start()
    eventually(lambda: "pc-42" in browser.seen)
    closing(Peer("lie", "127.0.0.1", "pc-42"))

    def ours() -> list[dict[str, Any]]:
        return [
            seen
            for seen in browser.seen.values()
            if seen["id"] == "pc-42" and seen["port"] == front.port and seen["name"] != "pc-42"
        ]

    assert eventually(ours)[0]["name"].startswith("pc-42-")


def test_a_liar_who_was_there_first_displaces_nobody(tmp_path: Path, closing: Keep) -> None:
    browser = closing(Peer("browse", "127.0.0.1"))
    closing(Peer("lie", "127.0.0.1", "pc-43"))
    front, _ = made(closing, tmp_path / "pc", station="pc-43")
    front.start()
    eventually(lambda: [s for s in browser.seen.values() if s["id"] == "pc-43" and s["port"] == front.port])


def test_announce_false_sends_nothing(tmp_path: Path, closing: Keep) -> None:
    front = closing(FrontProcess(tmp_path / "pc", announce=False))
    enforcer = closing(EnforcerPeer(front.paths))
    enforcer.start()
    front.start()
    eventually(front.answers)
    assert front.process is not None
    files = [f"/proc/{front.process.pid}/fd/{number}" for number in range(64)]
    inodes = {os.path.realpath(file).rpartition("socket:[")[2].rstrip("]") for file in files}
    for table in ("udp", "udp6"):
        rows = Path(f"/proc/{front.process.pid}/net/{table}").read_text().splitlines()[1:]
        assert not inodes & {row.split()[9] for row in rows}


class Lan:
    """Two network namespaces: a PC's and another host's, joined by two cables (card0, card1)."""

    def __init__(self, tmp_path: Path) -> None:
        self._holders = {name: self._hold() for name in ("pc", "host")}
        pc, host = (holder.pid for holder in self._holders.values())
        for name in self._holders:
            self.ip(name, "link set lo up")
        for n in (0, 1):
            self.ip("pc", f"link add card{n} netns {pc} type veth peer name port{n} netns {host}")
            self.ip("host", f"address add 10.77.{n}.1/24 dev port{n}")
            self.ip("host", f"link set port{n} up")

    def _hold(self) -> "subprocess.Popen[bytes]":
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        outside = Path("/proc/self/ns/net").readlink()
        eventually(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != outside)
        return holder

    def inside(self, name: str) -> tuple[str, ...]:
        """What to put before a command that shall run in a namespace."""
        return ("nsenter", f"--target={self._holders[name].pid}", "--net")

    def ip(self, name: str, command: str) -> None:
        subprocess.run([*self.inside(name), "ip", *command.split()], check=True)

    def tentative(self) -> bool:
        """Whether a link-local IPv6 address is not usable yet."""
        shown = (
            subprocess.run(
                [*self.inside(name), "ip", "-6", "address", "show", "tentative"],
                check=True,
                stdout=subprocess.PIPE,
            )
            for name in self._holders
        )
        return any(b"inet6" in done.stdout for done in shown)

    def close(self) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_addresses_come_change_and_go_and_links_too(tmp_path: Path, closing: Keep) -> None:
    """Boot without an address, get one, get another, a second card, a cable pulled and put back."""
    lan = closing(Lan(tmp_path))
    browser = closing(Peer("browse", "10.77.0.1", prefix=lan.inside("host")))
    second = closing(Peer("browse", "10.77.1.1", prefix=lan.inside("host")))
    front, _ = made(closing, tmp_path / "pc", lan.inside("pc"), interfaces=[])
    front.start()
    assert STATION not in browser.seen

    lan.ip("pc", "link set card0 up")
    lan.ip("pc", "address add 10.77.0.3/24 dev card0")
    eventually(lambda: "10.77.0.3" in browser.addresses(STATION))

    lan.ip("pc", "address del 10.77.0.3/24 dev card0")
    lan.ip("pc", "address add 10.77.0.4/24 dev card0")
    eventually(lambda: "10.77.0.4" in browser.addresses(STATION))

    lan.ip("pc", "link set card1 up")
    lan.ip("pc", "address add 10.77.1.4/24 dev card1")
    eventually(lambda: "10.77.1.4" in second.addresses(STATION))
    eventually(lambda: {"10.77.0.4", "10.77.1.4"} <= set(browser.addresses(STATION)))

    lan.ip("pc", "link set card0 down")
    newcomer = closing(Peer("browse", "10.77.0.1", prefix=lan.inside("host")))
    eventually(lambda: "10.77.0.4" not in second.addresses(STATION))
    lan.ip("pc", "link set card0 up")
    lan.ip("pc", "address replace 10.77.0.4/24 dev card0")
    eventually(lambda: "10.77.0.4" in newcomer.addresses(STATION))

    assert "Traceback" not in front.log()
    assert front.stop() == 0
    eventually(lambda: STATION not in newcomer.seen)


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_lan_with_ipv6_only(tmp_path: Path, closing: Keep) -> None:
    lan = closing(Lan(tmp_path))
    lan.ip("host", "address add fd77::1/64 dev port0 nodad")
    lan.ip("pc", "link set card0 up")
    lan.ip("pc", "address add fd77::3/64 dev card0 nodad")
    eventually(lambda: not lan.tentative())
    browser = closing(Peer("browse", "fd77::1", prefix=lan.inside("host")))
    front, _ = made(closing, tmp_path / "pc", lan.inside("pc"), interfaces=[])
    front.start()
    eventually(lambda: browser.addresses(STATION) == ["fd77::3"])
    lan.ip("pc", "address add 10.77.0.3/24 dev card0")
    newcomer = closing(Peer("browse", "10.77.0.1", prefix=lan.inside("host")))
    eventually(lambda: newcomer.addresses(STATION) == ["10.77.0.3", "fd77::3"])
    assert "Traceback" not in front.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_only_the_chosen_card_listens_and_announces(tmp_path: Path, closing: Keep) -> None:
    lan = closing(Lan(tmp_path))
    for n in (0, 1):
        lan.ip("pc", f"link set card{n} up")
        lan.ip("pc", f"address add 10.77.{n}.3/24 dev card{n}")
    browser = closing(Peer("browse", "10.77.1.1", prefix=lan.inside("host")))
    front, _ = made(closing, tmp_path / "pc", lan.inside("pc"), interfaces=["card1"])
    front.start()
    eventually(lambda: browser.addresses(STATION) == ["10.77.1.3"])

    def status(address: str) -> str:
        url = f"http://{address}:{front.port}/"
        command = [*lan.inside("host"), "curl", "-s", "-m", "5", "-w", "%{http_code}", "-o", "/dev/null", url]
        return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout

    assert status("10.77.1.3") == "404"
    assert status("10.77.0.3") == "000"


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_port_5353_that_somebody_keeps_is_waited_for(tmp_path: Path, closing: Keep) -> None:
    """The station goes on meanwhile, says it once, and announces when it can."""
    lan = closing(Lan(tmp_path))
    lan.ip("pc", "link set card0 up")
    lan.ip("pc", "address add 10.77.0.3/24 dev card0")
    keeper = (
        "import socket, time; keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "keeper.bind(('', 5353)); print(flush=True); time.sleep(600)"
    )
    selfish = subprocess.Popen([*lan.inside("pc"), sys.executable, "-c", keeper], stdout=subprocess.PIPE)
    closing(selfish)
    assert selfish.stdout is not None
    selfish.stdout.readline()
    browser = closing(Peer("browse", "10.77.0.1", prefix=lan.inside("host")))
    front, _ = made(closing, tmp_path / "pc", lan.inside("pc"), interfaces=[])
    front.start()
    eventually(lambda: "cannot announce" in front.log())
    selfish.kill()
    selfish.wait()
    eventually(lambda: browser.addresses(STATION) == ["10.77.0.3"])
    assert front.log().count("cannot announce") == 1
