"""Attempts by somebody who already runs programs as the citizen: what a broken browser would give.

All but those of "command line" run inside a session as the lab starts it. On the free PC the same is done by
root, who may: so each row's own way works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.lab.breakouts.table import Attempt, Escape, Seat
from tests.lab.breakouts.world import ADDRESS, INSIDE, LIKE, OUTSIDE
from tests.lab.kiosk import DISPLAY

_CONNECT = "import socket; socket.create_connection(({host!r}, {port}), 3)"
_SEND = "import socket; s = socket.socket(2, 2); s.sendto(b'x', ({host!r}, {port}))"
_SEND_6 = (
    "import socket; s = socket.socket(10, 2);"
    " s.sendto(b'x', ({host!r}, {port}, 0, socket.if_nametoindex('eth0')))"
)
_BROADCAST = (
    "import socket; s = socket.socket(2, 2); s.setsockopt(1, 6, 1); s.sendto(b'x', ({host!r}, {port}))"
)
_RAW = "import socket; socket.socket(17, 3)"
_ASK_TIME = """
import socket
s = socket.socket(2, 2)
s.settimeout(3)
s.sendto(b'\\x23' + bytes(47), ({host!r}, {port}))
s.recv(48)
"""
_ASK = """
import http.client, sys, urllib.parse
url, proxy = urllib.parse.urlsplit(sys.argv[1]), urllib.parse.urlsplit(sys.argv[2])
link = http.client.HTTPConnection(proxy.hostname or url.hostname, proxy.port or url.port or 80, timeout=5)
link.connect()
if url.scheme == "https":
    if sys.argv[2]:
        link.close()
        link.set_tunnel(url.hostname, url.port)
        link.connect()
elif sys.argv[2]:
    link.request("GET", sys.argv[1])
    answer = link.getresponse()
    sys.exit(answer.status in (403, 500, 502, 503))
"""
"""Ends well when it gets to the address, through the proxy in the second argument if there is any."""
_OWN = ("--user", "--map-root-user", "--mount")
_LAID = "mount -t tmpfs none /etc/chromium/policies 2>/dev/null || mount -t tmpfs none /etc/chromium"
_SET_UP = "cupsctl --debug-logging"
_POWER = (
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager CanPowerOff"
    " | grep -q yes"
)
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

    def starts(*flags: str) -> Escape:
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

    def debugging(*flags: str) -> Escape:
        def escapes(seat: Seat) -> bool:
            assert seat.screen
            command = ["chromium", "--user-data-dir=/tmp/altro", "--remote-debugging-port=9333", *flags]
            asked = ["curl", "-s", "--max-time", "2", "http://127.0.0.1:9333/json/version"]
            with seat.machine.popen(command, user="kiosk", env={"DISPLAY": DISPLAY, "HOME": "/home/kiosk"}):
                return seat.wait(lambda: "Browser" in seat.machine.run(asked, check=False).stdout)

        return escapes

    ports: dict[str, tuple[str, ...]] = {
        "by its port": (),
        "by its port, headless": ("--headless",),
        "by its port, any origin": ("--remote-allow-origins=*",),
        "by its port, on every address": ("--remote-debugging-address=0.0.0.0",),
        "by its port, as a test": ("--test-type", "--enable-automation"),
        "by its port, as a guest": ("--guest",),
    }
    for name, more in ports.items():
        yield Attempt("remote debugging", name, "the browser's insides", debugging(*more), fresh=True)


def _lan() -> Iterator[Attempt]:
    def neighbour(seat: Seat) -> str:
        return seat.world.neighbour

    def outside(seat: Seat) -> str:
        return seat.world.outside

    def server(seat: Seat) -> str:
        return seat.world.server

    def tries(text: str, host: Callable[[Seat], str], port: int) -> Escape:
        return lambda seat: seat.run("python3", "-c", text.format(host=host(seat), port=port))

    def row(name: str, escapes: Escape) -> Attempt:
        return Attempt("the LAN", name, "another machine", escapes, desk=True)

    for name, text, host, port in (
        ("ssh of another PC", _CONNECT, neighbour, 22),
        ("the agent of another PC", _CONNECT, neighbour, 7443),
        ("ssh of the lab's server", _CONNECT, server, 22),
        ("the time of the lab's server", _ASK_TIME, server, 123),
        ("a web server directly", _CONNECT, outside, 80),
        ("a web server over TLS", _CONNECT, outside, 443),
        ("DNS", _SEND, outside, 53),
        ("QUIC", _SEND, outside, 443),
        ("mDNS", _SEND, lambda _: "224.0.0.251", 5353),
        ("everybody at once", _BROADCAST, lambda _: "255.255.255.255", 9),
        ("another PC by IPv6", _SEND_6, lambda _: "ff02::1", 5353),
    ):
        yield row(name, tries(text, host, port))
    yield row("ping", lambda seat: seat.run("ping", "-c1", "-W2", neighbour(seat)))
    yield row("packets of its own making", lambda seat: seat.run("python3", "-c", _RAW))
    for name, url in (
        ("through the proxy, the neighbour", lambda seat: f"http://{neighbour(seat)}:7443/v1/exchange"),
        ("through the proxy, a host that is not listed", lambda _: f"http://{OUTSIDE}/by-proxy"),
        ("through the proxy, a tunnel to ssh", lambda seat: f"https://{server(seat)}:22/"),
        ("through the proxy, a tunnel to another port", lambda _: f"https://{INSIDE}:2222/"),
        ("through the proxy, the allowed host as a user name", lambda _: f"http://{INSIDE}@{OUTSIDE}/user"),
        ("through the proxy, a name with more before it", lambda _: f"http://{LIKE[0]}/more"),
        ("through the proxy, a name with more behind it", lambda _: f"http://{LIKE[1]}/behind"),
        ("through the proxy, this PC's own services", lambda _: "http://localhost:7443/v1/exchange"),
    ):
        yield row(name, _by_proxy(url))


def _by_proxy(url: Callable[[Seat], str]) -> Escape:
    """As a program does that knows the proxy; on the free PC there is none, and it asks directly."""

    def escapes(seat: Seat) -> bool:
        proxy = "http://127.0.0.1:8118" if seat.locked else ""
        return seat.run("python3", "-c", _ASK, url(seat), proxy)

    return escapes


def _doors() -> Iterator[Attempt]:
    def row(name: str, lost: str, escapes: Escape) -> Attempt:
        return Attempt("doors", name, lost, escapes, desk=True)

    def unix(path: str) -> Escape:
        return lambda seat: seat.run("python3", "-c", _UNIX.format(path=path))

    def tcp(host: Callable[[Seat], str], port: int) -> Escape:
        return lambda seat: seat.run("python3", "-c", _CONNECT.format(host=host(seat), port=port))

    for name, path in (
        ("the enforcer's socket", "/run/lab-agent/enforcer.sock"),
        ("the session bar's socket", "/run/lab-agent/citizen.sock"),
        ("systemd's private socket", "/run/systemd/private"),
        ("the system's bus", "/run/dbus/system_bus_socket"),
        ("names of the LAN by avahi", "/run/avahi-daemon/socket"),
        ("the journal", "/run/systemd/journal/stdout"),
        ("who is signed in, by systemd", "/run/systemd/userdb/io.systemd.DynamicUser"),
    ):
        yield row(name, "a service that acts for others", unix(path))
    for name, host, port in (
        ("the agent's port on loopback", lambda _: "127.0.0.1", 7443),
        ("the agent's port by the PC's address", lambda seat: seat.machine.address, 7443),
        ("ssh on loopback", lambda _: "127.0.0.1", 22),
        ("the controller by the server's address", lambda seat: seat.world.server, 22),
    ):
        yield row(name, "the agent, the controller", tcp(host, port))
    for name, argv in (
        ("a unit of its own by D-Bus", ("systemd-run", "--quiet", "--wait", "--no-ask-password", "true")),
        ("the PC switched off by D-Bus", ("sh", "-c", _POWER)),
        ("what the journal holds", ("sh", "-c", 'test -n "$(journalctl -n1 -o cat)"')),
        ("a printer of its own", ("lpadmin", "-p", "breakouts", "-E", "-v", "file:/dev/null")),
        # Twice: cupsd may just be starting anew after the row before.
        ("how printing is set up", ("sh", "-c", f"{_SET_UP} || {{ sleep 5; {_SET_UP}; }}")),
        ("the agent's own command", ("lab-agent", "plan")),
    ):
        yield row(name, "root, or what others said", _runs(*argv))


def _files() -> Iterator[Attempt]:
    for path in (
        "/etc/shadow",
        "/root/.bashrc",
        "/var/lib/lab-agent/enforcer/journal.sqlite",
        "/etc/ssh/ssh_host_ed25519_key",
        "/var/log/btmp",
        "/proc/1/environ",
    ):
        yield _on_desk("others' files", f"read {path}", _runs("head", "-c1", path))
    for path in (
        "/etc/lab-agent/proxy/hosts",
        "/etc/cron.d",
        "/etc/hosts",
        "/usr/share/chromium/extensions",
        "/var/lib/lab-agent/start/it.html",
        "/var/spool/cron/crontabs",
    ):
        yield _on_desk("others' files", f"write {path}", _writes(path))


def _on_desk(group: str, name: str, escapes: Escape) -> Attempt:
    return Attempt(group, name, "what is not the citizen's own", escapes, desk=True)


def _writes(path: str) -> Escape:
    # Nothing is changed: whether it could be is the question. On a free PC the folder above stands for it.
    return _runs("sh", "-c", 'p=$0; while [ ! -e "$p" ]; do p=$(dirname "$p"); done; [ -w "$p" ]', path)


def _tampering() -> Iterator[Attempt]:
    for path in (
        "/etc/chromium/policies/managed/50-lab-policy.json",
        "/etc/chromium/policies/recommended/lab.json",
        "/etc/chromium.d/flags",
        "/etc/lab-agent/openbox/rc.xml",
        "/etc/lab-agent/session/environment",
        "/etc/localtime",
        "/etc/default/locale",
        "/etc/systemd/timesyncd.conf.d/90-lab.conf",
    ):
        yield _on_desk("tampering", f"write {path}", _writes(path))
    control = ("systemctl", "--no-ask-password", "kill", "--signal=CONT")
    for name, argv in (
        ("another policy laid over the lab's", ("unshare", *_OWN, "sh", "-c", _LAID)),
        ("the packet filter", ("nft", "list", "ruleset")),
        ("stop the agent", (*control, "lab-agent")),
        ("stop the log", (*control, "systemd-journald")),
        ("a signal to the agent's other half", ("pkill", "-CONT", "-u", "lab-agent")),
        ("a signal to the service manager", ("kill", "-0", "1")),
        ("the time zone of all", ("timedatectl", "--no-ask-password", "set-timezone", "Europe/Rome")),
        ("who sets the clock", ("timedatectl", "--no-ask-password", "set-ntp", "true")),
        ("the language of all", ("localectl", "--no-ask-password", "set-locale", "LANG=C.UTF-8")),
        ("the keyboard of all", ("localectl", "--no-ask-password", "set-x11-keymap", "it")),
        ("kernel parameters", ("sysctl", "-q", "-w", "net.ipv4.conf.lo.log_martians=0")),
        ("another file system", ("mount", "-t", "tmpfs", "none", "/mnt")),
        ("the host's name", ("sh", "-c", "hostname $(hostname)")),
        ("other processes' memory", ("sh", "-c", "head -c0 /proc/1/mem")),
        ("another user", ("setpriv", "--reuid=nobody", "true")),
    ):
        yield _on_desk("tampering", name, _runs(*argv))


def _runs(*argv: str) -> Escape:
    return lambda seat: seat.run(*argv)
