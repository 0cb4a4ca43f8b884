"""The proof of a wipe, against marks in random places and a search that imports nothing of ours.

Nothing here believes the proof: whatever it says is held against what
leftovers/search.py finds. What is random has a seed, which is printed.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from contract.session import SPOTS
from tests.lab.leftovers import source
from tests.lab.rig.host import say, wait_until
from tests.lab.site import wait_for
from tests.lab.test_session import ENFORCER, OFFERED, PORTALE, SCREEN, SESSION, Seat, portale, seat

__all__ = ["portale", "seat"]

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

on_a_pc = pytest.mark.parametrize("seat", [pytest.param(2, id="Debian 12")], indirect=True)
on_each_debian = pytest.mark.parametrize(
    "seat",
    [pytest.param(2, id="Debian 12"), pytest.param(10, id="Debian 13", marks=pytest.mark.long)],
    indirect=True,
)
PRINTER = "prova"
POLICY = "etc/chromium/policies/managed/50-lab-policy.json"


def new_mark() -> str:
    return f"segnale-{secrets.token_hex(12)}"


def found(seat: Seat, *marks: str, user: str = "") -> list[str]:
    """Everywhere on the PC where one of the marks is, or something of the user's."""
    argv = ["python3", "-c", source("search"), *([user] if user else [])]
    return seat.machine.run(argv, input="\n".join(marks), timeout=180).stdout.splitlines()


def inside(seat: Seat) -> list[str]:
    """Words that run a command in the session: its name spaces, the kiosk user."""
    browser = seat.machine.run(["systemctl", "show", "-P", "MainPID", SESSION]).stdout.strip()
    user = ["setpriv", "--reuid=kiosk", "--regid=kiosk", "--clear-groups", "--inh-caps=-all"]
    return ["nsenter", "-t", browser, "-m", "-i", *user]


def planted(seat: Seat, *argv: str) -> dict[str, Any]:
    """What plant.py said."""
    told: dict[str, Any] = json.loads(seat.machine.run(argv, timeout=120).stdout)
    return told


def at_the_door(seat: Seat) -> dict[str, Any]:
    """What the session bar is told now."""
    script = (
        "import socket; link = socket.socket(socket.AF_UNIX);"
        " link.connect('/run/lab-agent/citizen.sock'); print(link.recv(4096).decode())"
    )
    state: dict[str, Any] = json.loads(seat.machine.run(["/usr/bin/python3", "-c", script]).stdout)
    return state


def canary_of(seat: Seat) -> str:
    """The text that only this session has: read off a process of it."""

    def sleepers() -> list[str]:
        return seat.machine.run(["pgrep", "-u", "kiosk", "-x", "sleep"], check=False).stdout.split()

    sleeper = wait_for(sleepers, 30, "the canary's process")[0]
    return (seat.machine.root / "proc" / sleeper / "cmdline").read_text().split("\0")[0]


@pytest.fixture
def printer(seat: Seat) -> Any:
    """A printer that prints nothing, and is the default one."""
    seat.machine.run(["lpadmin", "-p", PRINTER, "-E", "-v", "file:/dev/null"])
    seat.machine.run(["lpadmin", "-d", PRINTER])
    yield PRINTER
    seat.machine.run(["lpadmin", "-x", PRINTER])


@on_each_debian
def test_a_canary_in_every_spot_is_seen_and_then_gone(seat: Seat, printer: str) -> None:
    seat.start()
    seat.shows_start_page()
    canary = canary_of(seat)
    wait_for(
        lambda: seat.machine.run(["grep", "-rlaF", canary, "/var/spool/cups"], check=False).stdout,
        30,
        "the print job",
    )
    kept = "/home/kiosk/profile/Default/Cookies"
    query = f"import sqlite3; print(*sqlite3.connect('file:{kept}?mode=ro', uri=True).execute("
    query += "'SELECT value FROM cookies').fetchall())"
    assert canary in seat.machine.run([*inside(seat), "python3", "-c", query]).stdout, (
        "Chromium goes on with it"
    )
    there = found(seat, canary)
    for word in ("content", "process", "socket", "print job", "screen: root properties", "/dev/shm"):
        assert any(word in line for line in there), (word, there)

    wipe = seat.end()["wipe"]
    assert {one["spot"] for one in wipe["canaries"]} == set(SPOTS)
    assert [one["spot"] for one in wipe["canaries"] if not one["seen"]] == []
    assert [one["spot"] for one in wipe["canaries"] if one["left"]] == []
    counted = {look["place"]: look["found"] for look in wipe["looked"]}
    assert counted["processes"] > 5, "the browser's were counted before the unit took them along"
    assert counted["files"] > 20
    assert counted["shared-memory"] >= 3
    assert found(seat, canary, user="kiosk") == []
    shown = seat.site.labctl("session", "show", seat.machine.name).stdout
    assert "title of a print job" in shown
    assert "STILL THERE" not in shown
    assert "not there" not in shown


@on_a_pc
def test_what_could_not_be_planted_is_said(seat: Seat) -> None:
    """A PC without a printer; a citizen who copied something."""
    seat.start()
    seat.shows_start_page()
    canary_of(seat)
    copy = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gdk, Gtk, GLib;"
    copy += "Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).set_text('cose mie', -1); print('ready', flush=True);"
    copy += "GLib.timeout_add_seconds(60, Gtk.main_quit); Gtk.main()"
    with seat.machine.popen(["/usr/bin/python3", "-c", copy], env=SCREEN) as citizen:
        assert citizen.stdout is not None
        assert b"ready" in bytes(citizen.stdout.readline())
        wipe = seat.end()["wipe"]
    assert wipe["clean"] is True
    unseen = {one["spot"] for one in wipe["canaries"] if not one["seen"]}
    assert unseen == {"clipboard", "print-title"}
    shown = seat.site.labctl("session", "show", seat.machine.name).stdout
    assert "proves nothing of its place" in shown


@on_a_pc
def test_marks_in_random_writable_places_and_in_the_browser_are_gone(seat: Seat, printer: str) -> None:
    seed = os.environ.get("WIPE_SEED") or secrets.token_hex(4)
    say(f"marks are planted with WIPE_SEED={seed}")
    chance = random.Random(seed)
    marks = [new_mark() for _ in range(4)]
    outside, within, browsed, printed = marks
    (seat.portale.machine.root / "run" / f"{PORTALE}.log.mark").write_text(browsed)
    seat.site.layer_for(seat.machine.name, OFFERED.replace(f"{PORTALE}/", f"{PORTALE}/ricorda"))
    seat.site.publish()
    seat.site.settle()
    seat.start()
    wait_for(lambda: any(browsed in title for title in seat.titles()), 40, "the page that remembers")

    # A cookie's value is written enciphered, its name is not.
    storage = ["grep", "-rlaF", browsed, "/home/kiosk/profile/Default"]
    wait_for(
        lambda: (
            "Local Storage" in (kept := seat.machine.run([*inside(seat), *storage], check=False).stdout)
            and "Cookies" in kept
        ),
        60,
        "the browser has written both",
    )
    plant = ["python3", "-c", source("plant"), f"{chance.random()}"]
    user = ["setpriv", "--reuid=kiosk", "--regid=kiosk", "--clear-groups", "--inh-caps=-all"]
    escaped = planted(seat, *user, *plant, outside, "8")
    lived = planted(seat, *inside(seat), *plant, within, "8")
    say(f"{escaped['writable']} places can be written outside the session, {lived['writable']} in it")
    say(f"planted: {escaped['planted'] + lived['planted']}")
    seat.machine.run([*user, "lp", "-d", printer, "-H", "indefinite", "-t", printed, "/etc/hostname"])
    seat.machine.run([*user, "setsid", "-f", "sh", "-c", f"exec -a {outside} sleep 1000 <&- >&- 2>&-"])
    seat.machine.run(["xprop", "-root", "-f", "CUT_BUFFER2", "8s", "-set", "CUT_BUFFER2", within], env=SCREEN)
    there = found(seat, *marks)
    assert {line for line in there if line.startswith("mark: ")} == {f"mark: {mark}" for mark in marks}, there

    answer = seat.end(check=False)
    left = found(seat, *marks, user="kiosk")
    say(f"the wipe took {answer['wipe']['seconds']} s")
    assert answer["wipe"]["clean"] is True, answer
    assert left == []


@on_a_pc
def test_what_cannot_be_removed_is_out_of_service_until_it_is_mended_and_booted(seat: Seat) -> None:
    name = seat.machine.name
    file = f"/var/lib/{secrets.token_hex(8)}"
    seat.start()
    seat.shows_start_page()
    seat.machine.run(["install", "-o", "kiosk", "/etc/hostname", file])
    seat.machine.run(["chattr", "+i", file])
    try:
        answer = seat.end(check=False)
        assert answer["state"] == "out-of-service"
        seat.machine.sync()
        seat.machine.reboot()
        seat.until("out-of-service")
        again = wait_for(lambda: seat.site.condition(name, "Unclean"), 30, "the condition")
        assert "/var/lib" in again["message"]
        assert file not in again["message"]
        assert not seat.runs("lab-session.service")
    finally:
        seat.machine.run(["chattr", "-i", file])
    seat.machine.sync()
    seat.machine.reboot()
    seat.until("available")
    assert not (seat.machine.root / file.lstrip("/")).exists()
    wait_for(lambda: not seat.site.condition(name, "Unclean").get("status"), 30, "the condition's end")


@on_a_pc
def test_shut_down_in_a_session_nothing_of_it_is_on_the_disk(seat: Seat, printer: str) -> None:
    mark = new_mark()
    seat.start()
    seat.shows_start_page()
    canary = canary_of(seat)
    seat.as_citizen("sh", "-c", f"echo {mark} > /var/tmp/{mark}")
    seat.as_citizen("lp", "-d", printer, "-H", "indefinite", "-t", mark, "/etc/hostname")
    wait_for(lambda: found(seat, mark), 30, "the control")
    seat.machine.sync()
    seat.machine.poweroff()
    disk = seat.machine.directory / "disk.img"
    listed, spooled = (
        subprocess.run(
            ["debugfs", "-R", f"ls -p /upper/var/{folder}", str(disk)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for folder in ("tmp", "spool/cups")
    )
    assert mark not in listed
    assert "/d0" not in spooled
    seat.machine.poweron()
    told = seat.machine.run(["journalctl", "-b", "-1", "-o", "cat", "-u", "lab-shutdown"]).stdout
    assert "nothing of the session is left" in told
    seat.until("available")
    assert found(seat, mark, canary, user="kiosk") == []


@on_a_pc
def test_a_power_cut_in_a_session_is_wiped_before_the_screen_is_there(seat: Seat, printer: str) -> None:
    mark = new_mark()
    seat.start()
    seat.shows_start_page()
    canary = canary_of(seat)
    seat.as_citizen("lp", "-d", printer, "-H", "indefinite", "-t", mark, "/etc/hostname")
    seat.as_citizen("sh", "-c", f"echo {mark} > /var/tmp/{mark}")
    seat.machine.sync()
    seat.machine.crash()
    seat.machine.poweron()
    seat.until("available")
    assert found(seat, mark, canary, user="kiosk") == []
    told = seat.machine.run(
        ["journalctl", "-b", "-o", "cat", "-u", "lab-enforcer", "-u", "lab-wipe", "-u", "lab-screen"]
    ).stdout
    clean = told.find("nothing of the session is left")
    assert 0 <= clean < told.find("Started lab-screen.service")
    shown = json.loads(seat.site.labctl("session", "show", seat.machine.name, "--json").stdout)
    assert {one["seen"] for one in shown["wipe"]["canaries"]} == {False}, "nobody could look any more"


@on_a_pc
def test_a_home_that_is_full(seat: Seat, tmp_path: Path) -> None:
    """As on a PC with little memory: the home is a part of it. Both are told, and all stays shut."""
    name = seat.machine.name
    seat.start()
    seat.shows_start_page()
    assert not seat.site.condition(name, "SessionFull"), "the control"
    policy = (seat.machine.root / POLICY).read_bytes()
    browser = seat.machine.run(["systemctl", "show", "-P", "MainPID", SESSION]).stdout.strip()
    small = ["nsenter", "-t", browser, "-m", "mount", "-o", "remount,size=96m", "/home/kiosk"]
    seat.machine.run(small)
    fill = [
        "sh",
        "-c",
        "cat /dev/zero > /home/kiosk/everything; : > /home/kiosk/more && echo > /home/kiosk/more",
    ]
    told = seat.machine.run([*inside(seat), *fill], check=False)
    assert "No space left" in told.stderr
    trouble = wait_for(lambda: seat.site.condition(name, "SessionFull"), 60, "the condition")
    assert trouble["status"]
    assert "memory for files" in trouble["message"]
    assert "no room left in this session" in at_the_door(seat)["sentence"]["text"]
    (tmp_path / "full.png").write_bytes(seat.machine.run_bytes(["maim"], env=SCREEN).stdout)
    assert seat.machine.run(["nft", "list", "table", "inet", "lab_kiosk"]).stdout
    assert (seat.machine.root / POLICY).read_bytes() == policy
    assert seat.state == "active"
    visits = len(seat.portale.visits())
    seat.machine.run(["xdotool", "key", "F5"], env=SCREEN)
    wait_for(lambda: len(seat.portale.visits()) > visits, 40, "the citizen goes on")
    seat.shows_start_page()
    answer = seat.end()
    assert answer["state"] == "available"
    assert {look["left"] for look in answer["wipe"]["looked"]} == {0}
    assert not seat.site.condition(name, "SessionFull")["status"]
    assert found(seat, "everything-that-nobody-wrote", user="kiosk") == []
    seat.start()
    seat.shows_start_page()
    seat.end()


@on_a_pc
def test_who_keeps_writing_a_file_that_is_everybodys_is_named(seat: Seat) -> None:
    name = seat.machine.name
    seat.start()
    seat.shows_start_page()
    file = "/var/lib/scribble"
    scribe = f"import time\nout = open({file!r}, 'w')\nprint('ready', flush=True)\n"
    scribe += "while True:\n    out.write('x'); out.flush(); time.sleep(0.05)\n"
    with seat.machine.popen(["python3", "-c", scribe]) as writing:
        assert writing.stdout is not None
        assert b"ready" in bytes(writing.stdout.readline())
        seat.machine.run(["chmod", "666", file])
        began = time.monotonic()
        assert seat.end(check=False)["state"] == "out-of-service"
        say(f"said after {time.monotonic() - began:.1f} s")
        told = wait_for(lambda: seat.site.condition(name, "Unclean"), 20, "the condition")["message"]
        assert "/var/lib (/usr/bin/python3" in told
        assert "chmod o-w" in told
        seat.machine.run(["chmod", "o-w", file])
        assert seat.end()["state"] == "available", "the program may go on"
    seat.machine.run(["rm", file])


@on_a_pc
def test_the_agent_dies_while_it_looks_at_the_session(seat: Seat) -> None:
    """What was not seen is not said to have been there; the PC is wiped all the same."""
    seat.start()
    seat.shows_start_page()
    canary = canary_of(seat)
    seat.end("--wait", "0", check=False)
    before = seat.machine.pid_of(ENFORCER)
    os.kill(before, 9)
    seat.machine.successor(ENFORCER, before)
    seat.until("available")
    assert found(seat, canary, user="kiosk") == []
    assert wait_until(lambda: not Path(seat.machine.root, "run/lab-agent/wipe.json").exists(), timeout=10)
