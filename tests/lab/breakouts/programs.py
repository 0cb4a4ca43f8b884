"""Attempts by somebody who already runs programs as the citizen: what a broken browser would give.

On the free PC the same is done by root, who may: so each row's own way works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.lab.breakouts.table import Attempt, Seat
from tests.lab.breakouts.world import ADDRESS, INSIDE, OUTSIDE
from tests.lab.kiosk import DISPLAY

_CONNECT = "import socket; socket.create_connection(({host!r}, {port}), 3)"
_SEND = "import socket; s = socket.socket(2, 2); s.sendto(b'x', ({host!r}, {port}))"
_UNIX = "import socket; s = socket.socket(1, 1); s.connect({path!r})"


def attempts() -> Iterator[Attempt]:
    """All of them, class by class."""
    yield from _command_line()
    yield from _lan()
    yield from _doors()
    yield from _files()
    yield from _tampering()


def _command_line() -> Iterator[Attempt]:
    """Another Chromium, started with flags of the attacker's choice."""

    def starts(*flags: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            assert seat.screen
            told = [flag.replace(ADDRESS, seat.world.outside) for flag in flags]
            command = ["chromium", "--user-data-dir=/tmp/altro", "--no-first-run", *told]
            env = {"DISPLAY": DISPLAY, "HOME": "/home/kiosk"}
            with seat.machine.popen(command, user="kiosk", env=env):
                return seat.reached()

        return escapes

    for name, flags in (
        ("another profile", (f"http://{OUTSIDE}/profile",)),
        ("an application window", (f"--app=http://{OUTSIDE}/app",)),
        ("without a proxy", ("--no-proxy-server", f"http://{OUTSIDE}/direct")),
        (
            "names of its own",
            (f"--host-resolver-rules=MAP {INSIDE} {ADDRESS}", f"http://{INSIDE}/mapped"),
        ),
        ("headless", ("--headless", "--dump-dom", f"http://{OUTSIDE}/headless")),
        ("incognito", ("--incognito", f"http://{OUTSIDE}/incognito")),
    ):
        yield Attempt("command line", name, "a host that is not on the list", starts(*flags), fresh=True)

    def debugging(*flags: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            assert seat.screen
            command = ["chromium", "--user-data-dir=/tmp/altro", "--remote-debugging-port=9333", *flags]
            asked = ["curl", "-s", "--max-time", "2", "http://127.0.0.1:9333/json/version"]
            with seat.machine.popen(command, user="kiosk", env={"DISPLAY": DISPLAY, "HOME": "/home/kiosk"}):
                return seat.wait(lambda: "Browser" in seat.machine.run(asked, check=False).stdout)

        return escapes

    yield Attempt("remote debugging", "by its port", "the browser's insides", debugging(), fresh=True)
    yield Attempt(
        "remote debugging",
        "by its port, headless",
        "the browser's insides",
        debugging("--headless"),
        fresh=True,
    )


def _lan() -> Iterator[Attempt]:
    def neighbour(seat: Seat) -> str:
        return seat.world.neighbour

    def outside(seat: Seat) -> str:
        return seat.world.outside

    def tries(text: str, host: Callable[[Seat], str], port: int) -> Callable[[Seat], bool]:
        return lambda seat: seat.run("python3", "-c", text.format(host=host(seat), port=port))

    for name, text, host, port in (
        ("ssh of another PC", _CONNECT, neighbour, 22),
        ("the agent of another PC", _CONNECT, neighbour, 7443),
        ("a web server directly", _CONNECT, outside, 80),
        ("a web server over TLS", _CONNECT, outside, 443),
        ("DNS", _SEND, outside, 53),
        ("QUIC", _SEND, outside, 443),
        ("mDNS", _SEND, lambda _: "224.0.0.251", 5353),
    ):
        yield Attempt("the LAN", name, "another machine", tries(text, host, port))
    yield Attempt(
        "the LAN", "ping", "another machine", lambda seat: seat.run("ping", "-c1", "-W2", neighbour(seat))
    )


def _doors() -> Iterator[Attempt]:
    def unix(path: str) -> Callable[[Seat], bool]:
        return lambda seat: seat.run("python3", "-c", _UNIX.format(path=path))

    def tcp(host: Callable[[Seat], str]) -> Callable[[Seat], bool]:
        return lambda seat: seat.run("python3", "-c", _CONNECT.format(host=host(seat), port=7443))

    yield Attempt("doors", "the enforcer's socket", "the agent", unix("/run/lab-agent/enforcer.sock"))
    yield Attempt("doors", "systemd's private socket", "the service manager", unix("/run/systemd/private"))
    yield Attempt("doors", "the agent's port on loopback", "the agent", tcp(lambda _: "127.0.0.1"))
    yield Attempt(
        "doors", "the agent's port by the PC's address", "the agent", tcp(lambda seat: seat.machine.address)
    )
    yield Attempt(
        "doors",
        "a unit of its own by D-Bus",
        "root",
        lambda seat: seat.run("systemd-run", "--quiet", "--wait", "--no-ask-password", "true"),
    )


def _files() -> Iterator[Attempt]:
    for path in (
        "/etc/shadow",
        "/root/.bashrc",
        "/var/lib/lab-agent/enforcer/journal.sqlite",
        "/etc/ssh/ssh_host_ed25519_key",
        "/var/log/btmp",
    ):
        yield Attempt("others' files", f"read {path}", "what is not its own", _reads(path))
    for path in (
        "/etc/chromium/policies/managed/50-lab-policy.json",
        "/etc/lab-agent/openbox/rc.xml",
        "/etc/lab-agent/proxy/hosts",
        "/etc/cron.d",
        "/etc/hosts",
    ):
        yield Attempt("others' files", f"write {path}", "what is not its own", _writes(path))


def _reads(path: str) -> Callable[[Seat], bool]:
    return lambda seat: seat.run("head", "-c1", path)


def _writes(path: str) -> Callable[[Seat], bool]:
    # Nothing is changed: whether it could be is the question. On a free PC the folder above stands for it.
    return lambda seat: seat.run(
        "sh", "-c", 'p=$0; while [ ! -e "$p" ]; do p=$(dirname "$p"); done; [ -w "$p" ]', path
    )


def _tampering() -> Iterator[Attempt]:
    for name, argv in (
        ("the packet filter", ("nft", "list", "ruleset")),
        ("stop the agent", ("systemctl", "--no-ask-password", "kill", "--signal=CONT", "lab-agent")),
        ("stop the log", ("systemctl", "--no-ask-password", "kill", "--signal=CONT", "systemd-journald")),
        ("a signal to the service manager", ("kill", "-0", "1")),
        ("the time zone of all", ("timedatectl", "--no-ask-password", "set-timezone", "Europe/Rome")),
        ("kernel parameters", ("sysctl", "-q", "-w", "net.ipv4.conf.lo.log_martians=0")),
        ("another file system", ("mount", "-t", "tmpfs", "none", "/mnt")),
        ("the host's name", ("sh", "-c", "hostname $(hostname)")),
    ):
        yield Attempt("tampering", name, "what the PC is", _runs(*argv))


def _runs(*argv: str) -> Callable[[Seat], bool]:
    return lambda seat: seat.run(*argv)
