"""A citizen's session from start to proof: real Chromium, hostile leftovers, dying agents, power cuts.

What is left is looked for by find and grep inside the PC, with nothing of ours
in between, for a text of the test's own that the agent has never seen.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.site import Site, wait_for
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PORTALE, ALTROVE = "portale.test", "altrove.test"
OFFERED = f"session: {{offered: true}}\nstart_page: http://{PORTALE}/\nallow: [.{PORTALE}]\n"
SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
SESSION, ENFORCER = "lab-session.service", "lab-enforcer.service"

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/home/kiosk")
HOSTILE = """
import ctypes, os, signal, sys, time
if os.fork(): sys.exit()
os.setsid()
if os.fork(): sys.exit()
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
text = sys.argv[1].encode()
memory = os.memfd_create("left", 0)
os.write(memory, text)
deleted = os.open("/var/tmp/deleted-" + sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(deleted, text)
os.unlink("/var/tmp/deleted-" + sys.argv[1])
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
where = libc.shmat(libc.shmget(0x1234, 4096, 0o1600), None, 0)
ctypes.memmove(where, text, len(text))
libc.shmdt(ctypes.c_void_p(where))
libc.msgget(0x1235, 0o1600)
libc.semget(0x1236, 1, 0o1600)
for end in (1, 2): os.close(end)
while True: time.sleep(60)
"""
"""A daemon that has left its session, ignores what it may, and leaves memory of every kind."""


@dataclass(frozen=True)
class Seat:
    """A PC on which the lab offers sessions."""

    site: Site
    machine: Machine
    portale: Web

    @property
    def state(self) -> str:
        """As the controller knows it."""
        return str(self.site.row(self.machine.name).get("state", ""))

    def start(self) -> None:
        """labctl session start."""
        self.site.labctl("session", "start", self.machine.name)

    def end(self, *options: str, check: bool = True) -> dict[str, Any]:
        """labctl session end: what it answers."""
        done = self.site.labctl("session", "end", self.machine.name, "--json", *options, check=check)
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return answer

    def until(self, state: str, seconds: float = 60) -> None:
        """Wait for a state."""
        wait_for(lambda: self.state == state, seconds, f"{self.machine.name} is {state}, not {self.state}")

    def as_citizen(self, *argv: str, check: bool = True) -> str:
        """Run something as the kiosk user, outside of the session: what would have escaped from it."""
        return self.machine.run(argv, user="kiosk", check=check).stdout

    def processes(self) -> list[str]:
        """Programs of the kiosk user."""
        return self.machine.run(["ps", "-u", "kiosk", "-o", "comm="], check=False).stdout.split()

    def runs(self, unit: str) -> bool:
        """Whether a unit is active."""
        return self.machine.run(["systemctl", "is-active", unit], check=False).returncode == 0

    def titles(self) -> list[str]:
        """Of the windows in sight."""
        found = self.machine.run(
            ["xdotool", "search", "--onlyvisible", "--name", "."], check=False, env=SCREEN
        )
        names = (
            self.machine.run(["xdotool", "getwindowname", window], check=False, env=SCREEN).stdout.strip()
            for window in found.stdout.split()
        )
        return [name for name in names if name]

    def shows_start_page(self) -> None:
        """Wait until the start page is on the screen."""
        wait_for(lambda: any(f"Sito {PORTALE}" in title for title in self.titles()), 40, "the start page")

    def traces(self, text: str) -> list[str]:
        """Everything on the PC that holds `text`, by find and grep."""
        searched = self.machine.run(
            [
                "sh",
                "-c",
                'find / \\( -path /proc -o -path /sys \\) -prune -o -name "*$0*" -print;'
                ' grep -rlaF --devices=skip -e "$0" / --exclude-dir=proc --exclude-dir=sys 2>/dev/null;'
                ' grep -laF -e "$0" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null',
                text,
            ],
            check=False,
            timeout=120,
        ).stdout.splitlines()
        ours = f"/proc/{os.getpid()}/"
        return [line for line in searched if not line.startswith(ours) and self._is_not_the_search(line)]

    def _is_not_the_search(self, line: str) -> bool:
        return not line.startswith("/proc/") or "find / " not in self._command_of(line.split("/")[2])

    def _command_of(self, pid: str) -> str:
        try:
            return (self.machine.root / "proc" / pid / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return "find / "  # it was the search's own, and has ended


@pytest.fixture(scope="module")
def portale(lab_of_ten: Site) -> Iterator[Web]:
    with web(lab_of_ten.server, PORTALE, f"{lab_of_ten.lab.network.net}.21", (30, 125, 50), ALTROVE) as site:
        yield site


@pytest.fixture
def seat(site: Site, portale: Web, request: pytest.FixtureRequest) -> Iterator[Seat]:
    machine = site.pc(request.param)
    site.layer_for(machine.name, OFFERED)
    site.publish()
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(f"{before}{portale.address} {PORTALE}\n")
    place = Seat(site, machine, portale)
    place.until("available")
    try:
        yield place
    finally:
        (machine.root / "etc/hosts").write_text(before)


bookworm, trixie = pytest.param(5, id="Debian 12"), pytest.param(10, id="Debian 13")
one_debian = pytest.mark.parametrize("seat", [bookworm], indirect=True)
each_debian = pytest.mark.parametrize("seat", [bookworm, trixie], indirect=True)
later_too = pytest.mark.parametrize(
    "seat", [bookworm, pytest.param(10, id="Debian 13", marks=pytest.mark.long)], indirect=True
)


@each_debian
def test_a_session_from_start_to_proof(seat: Seat, tmp_path: Path) -> None:
    assert seat.processes() == []
    seat.start()
    seat.shows_start_page()
    assert "/" in seat.portale.visits()
    assert seat.state == "active"
    assert "in use" in seat.site.labctl("status").stdout
    picture = seat.machine.run_bytes(["maim"], env=SCREEN).stdout
    (tmp_path / "session.png").write_bytes(picture)

    browser = seat.machine.pid_of(SESSION)
    arguments = Path(f"/proc/{browser}/cmdline").read_bytes().split(b"\0")
    assert b"--no-sandbox" not in arguments
    spaces = seat.machine.run(
        ["sh", "-c", "readlink $(printf '/proc/%s/ns/user ' $(pgrep -u kiosk)) | sort -u"]
    )
    assert len(spaces.stdout.split()) > 1, "Chromium's own sandbox is made of user namespaces"
    assert (
        "session is under way" in seat.site.labctl("session", "start", seat.machine.name, check=False).stderr
    )

    sleeper = seat.machine.run(["pgrep", "-u", "kiosk", "-x", "sleep"]).stdout.strip()
    canary = (seat.machine.root / "proc" / sleeper / "cmdline").read_text().split("\0")[0]
    assert canary.startswith("lab-canary-")
    assert canary in seat.machine.run(["xprop", "-root"], env=SCREEN).stdout
    assert seat.traces(canary), "the control: there it is"

    visits = len(seat.portale.visits())
    killed = time.monotonic()
    os.kill(browser, signal.SIGKILL)
    assert seat.machine.successor(SESSION, browser) != browser
    wait_for(lambda: len(seat.portale.visits()) > visits, 40, "the start page again")
    say(f"a browser that was killed is back on the start page after {time.monotonic() - killed:.1f} s")

    began = time.monotonic()
    answer = seat.end()
    took = time.monotonic() - began
    say(f"from the end to available: {took:.1f} s, {answer['wipe']['seconds']} s of it the wipe")
    assert answer["state"] == "available"
    assert answer["wipe"]["clean"] is True
    assert {look["left"] for look in answer["wipe"]["looked"]} == {0}
    assert seat.processes() == []
    assert "lab-canary" not in seat.machine.run(["xprop", "-root"], env=SCREEN).stdout
    assert seat.traces(canary) == []
    assert "Clean" in seat.site.labctl("session", "show", seat.machine.name).stdout


def writable_places(seat: Seat) -> list[str]:
    """Folders that the kiosk user can write, found by walking the PC as that user."""
    walked = seat.as_citizen(
        *("find", "/", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune", "-o"),
        *("-type", "d", "-writable", "-print"),
        check=False,
    )
    return sorted(set(walked.splitlines()))


@later_too
def test_hostile_leftovers_are_gone_and_the_proof_counts_them(seat: Seat) -> None:
    mark = f"segnale-{secrets.token_hex(12)}"
    seat.start()
    seat.shows_start_page()
    browser = seat.machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"]).stdout.strip()
    inside = ["nsenter", "-t", browser, "-m", "-i"]
    inside += ["setpriv", "--reuid=kiosk", "--regid=kiosk", "--clear-groups", "--inh-caps=-all"]
    folders = writable_places(seat)
    assert {"/tmp", "/var/tmp", "/dev/shm"} <= set(folders), folders
    chosen = {*PLACES, *random.sample(folders, min(6, len(folders)))} & set(folders)
    for folder in chosen:
        # A folder of message queues takes no folders and no words, but a name.
        plant = (
            f'umask 0; cd "$0"; exec 2>/dev/null; echo {mark} > {mark};'
            f" mkdir -p .{mark}/a && echo {mark} > .{mark}/a/b; test -e {mark}"
        )
        seat.as_citizen("sh", "-c", plant, folder)
        seat.machine.run([*inside, "sh", "-c", plant, folder], check=False)
    seat.as_citizen("python3", "-c", HOSTILE, mark)
    seat.machine.run([*inside, "python3", "-c", HOSTILE, mark])
    seat.machine.run([*inside, "logger", mark], check=False)
    seat.machine.run(["lpadmin", "-p", "prova", "-E", "-v", "file:/dev/null"])
    seat.machine.run(["cupsdisable", "prova"])
    seat.as_citizen("lp", "-d", "prova", "-U", "root", "-t", mark, "/etc/hostname")
    seat.machine.run(["xprop", "-root", "-f", "CUT_BUFFER3", "8s", "-set", "CUT_BUFFER3", mark], env=SCREEN)
    assert len(seat.traces(mark)) > len(chosen), "the search finds what was planted"
    assert "0x00001234" in seat.machine.run(["ipcs", "-m"]).stdout

    answer = seat.end()
    assert answer["state"] == "available"
    found = {look["place"]: look["found"] for look in answer["wipe"]["looked"]}
    assert found["processes"] >= 1
    assert found["files"] >= len(chosen)
    assert found["shared-memory"] >= 3
    assert found["print-jobs"] >= 1
    assert seat.processes() == []
    assert seat.traces(mark) == []
    assert mark not in seat.machine.run(["xprop", "-root"], env=SCREEN).stdout
    seat.machine.run(["lpadmin", "-x", "prova"])
    left = seat.machine.run(["ipcs"]).stdout
    assert not [key for key in ("0x00001234", "0x00001235", "0x00001236") if key in left]


@one_debian
def test_what_cannot_be_removed_or_is_nobodys_keeps_the_pc_out_of_service(seat: Seat) -> None:
    name = seat.machine.name
    seat.start()
    wait_for(lambda: "sleep" in seat.processes(), 20, "the canary's process")
    # A folder that cannot go, because something is mounted there.
    folder = f"/var/tmp/{secrets.token_hex(8)}"
    seat.machine.run(["mkdir", folder])
    seat.machine.run(["mount", "-t", "tmpfs", "-o", "uid=1500", "none", folder])
    # Somebody else's file, which everybody may write: whose words are in it?
    seat.machine.run(["sh", "-c", "echo > /var/lib/open-to-all; chmod 666 /var/lib/open-to-all"])
    # The canary itself, carried away by a program of the system.
    seat.machine.run(["sh", "-c", "cat /proc/$(pgrep -u kiosk -x sleep)/cmdline > /var/log/carried"])

    answer = seat.end(check=False)
    assert answer["state"] == "out-of-service"
    assert answer["wipe"]["clean"] is False
    left = {look["place"]: look["where"] for look in answer["wipe"]["looked"] if look["left"]}
    assert left == {"files": ["/var/tmp"], "changed-files": ["/var/lib", "/var/log"]}
    trouble = wait_for(lambda: seat.site.condition(name, "Unclean"), 20, "the condition")
    assert trouble["status"]
    assert "/var/tmp" in trouble["message"]
    assert folder not in trouble["message"], "a name may be a citizen's"
    refused = seat.site.labctl("session", "start", name, check=False)
    assert refused.returncode == 1
    assert "clean" in refused.stderr

    seat.machine.run(["umount", folder])
    seat.machine.run(["rm", "/var/lib/open-to-all"])
    assert seat.end(check=False)["state"] == "out-of-service", "the carried one is still there"
    seat.machine.run(["rm", "/var/log/carried"])
    assert seat.end()["state"] == "available"
    assert not seat.site.condition(name, "Unclean")["status"]


@one_debian
def test_the_agent_dies_in_each_state(seat: Seat) -> None:
    def kill_the_agent() -> None:
        before = seat.machine.pid_of(ENFORCER)
        os.kill(before, signal.SIGKILL)
        seat.machine.successor(ENFORCER, before)

    kill_the_agent()
    seat.start()
    seat.shows_start_page()
    browser = seat.machine.pid_of(SESSION)
    kill_the_agent()
    seat.until("active")
    assert seat.machine.pid_of(SESSION) == browser, "the citizen has not noticed"
    seat.end("--wait", "0", check=False)
    for _ in range(3):
        kill_the_agent()
    seat.until("available")
    assert seat.processes() == []
    assert seat.end()["wipe"]["clean"] is True


@one_debian
def test_a_power_cut_in_a_session_is_followed_by_a_wipe_and_nothing_else(seat: Seat) -> None:
    mark = f"segnale-{secrets.token_hex(12)}"
    seat.start()
    seat.shows_start_page()
    seat.as_citizen("sh", "-c", f"echo {mark} > /var/tmp/{mark}; sync -f /var/tmp")
    seat.machine.sync()
    seat.machine.crash()
    seat.machine.poweron()
    seat.until("available")
    assert seat.traces(mark) == []
    assert seat.processes() == []
    told = seat.machine.run(
        ["journalctl", "-b", "-o", "cat", "-u", "lab-enforcer", "-u", "lab-screen"]
    ).stdout
    assert 0 <= told.find("session: active -> wiping") < told.find("session: wiping -> available")
    assert told.find("session: wiping -> available") < told.find("Started lab-screen.service")
    assert "available -> active" not in told


@one_debian
def test_a_pc_that_is_no_longer_offered_ends_its_session_first(seat: Seat) -> None:
    seat.start()
    seat.shows_start_page()
    seat.site.layer_for(seat.machine.name, OFFERED.replace("true", "false"))
    seat.site.publish()
    assert wait_until(lambda: seat.processes() == [], timeout=30)
    seat.site.settle()
    for unit in ("lab-screen.service", "lab-desktop.service", "lab-bar.service", SESSION):
        assert not seat.runs(unit)
    told = seat.site.labctl("session", "start", seat.machine.name, check=False)
    assert "no sessions" in told.stderr


@one_debian
def test_a_session_that_cannot_start_says_so_and_leaves_the_pc_clean(seat: Seat) -> None:
    name = seat.machine.name
    # A file where the session has its folder; a drop-in would be taken out again.
    seat.machine.run(["touch", "/run/lab-session"])
    told = seat.site.labctl("session", "start", name, check=False)
    assert told.returncode == 1
    assert "has not started" in told.stderr
    wait_for(lambda: seat.site.condition(name, "SessionFailed").get("status"), 20, "the condition")
    seat.until("available")
    seat.machine.run(["rm", "-f", "/run/lab-session"])
    seat.start()
    seat.shows_start_page()
    wait_for(lambda: not seat.site.condition(name, "SessionFailed")["status"], 20, "its end")

    # The agent may start them again while the last one is still being stopped: then that job is cancelled.
    seat.machine.run(["systemctl", "stop", SESSION, "lab-bar.service", "lab-desktop.service"], check=False)
    for unit in (SESSION, "lab-bar.service", "lab-desktop.service"):
        assert wait_until(lambda unit=unit: seat.runs(unit), timeout=30), unit  # type: ignore[misc]  # mypy cannot infer a lambda's default
    seat.end()


@one_debian
def test_without_a_browser_nobody_is_offered_the_pc_and_the_technician_reads_why(seat: Seat) -> None:
    name = seat.machine.name
    seat.machine.run(["mv", "/usr/bin/chromium", "/usr/bin/chromium.away"])
    try:
        told = seat.site.labctl("session", "start", name, check=False)
        assert told.returncode == 1
        seat.until("out-of-service")
        trouble = wait_for(lambda: seat.site.condition(name, "Converged"), 20, "the condition")
        assert not trouble["status"]
        assert "apt install chromium" in trouble["message"]
        assert seat.processes() == []
        assert "lab-ground" in seat.titles(), "and the screen says it in plain words"
    finally:
        seat.machine.run(["mv", "/usr/bin/chromium.away", "/usr/bin/chromium"])
    seat.until("available", 90)
    seat.start()
    seat.shows_start_page()
    seat.end()
