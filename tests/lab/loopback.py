"""`make lab` where there is no root: ten agents and a controller on loopback, their files below build/lab.

What this does not show: separate addresses, systemd, two users, a kernel that
obeys, a browser under the policy. `LIMITS` says so at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HOME = PROJECT / "build/lab"
PCS = 10
FIRST_PORT = 17601
LOOPBACK = "127.0.0.1"
LIMITS = """\
This lab ran without root. It does not show: PCs with addresses of their own, the two halves of the agent
under two users and systemd, kernel parameters and units that are really set, a browser that obeys.
For those: sudo make lab"""


def up() -> None:
    """Start what is not running, make and pair what is new, publish what nobody has."""
    began = time.monotonic()
    names = [f"pc-{number:02d}" for number in range(1, PCS + 1)]
    for number, name in enumerate(names):
        settings = HOME / name / "etc/lab-agent/agent.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(
            f'station = "{name}"\nport = {FIRST_PORT + number}\ninterfaces = ["{LOOPBACK}"]\n'
        )
        _start(name, "lab-agent", "run", "--root", str(HOME / name))
    server = HOME / "server"
    if not (server / "etc/lab-controller/lab.toml").exists():
        _labctl(
            "init", "--root", str(server), "--lab", "prova", "--name", "Sala di prova", "--comune", "Prova"
        )
        settings = server / "etc/lab-controller/lab.toml"
        text = settings.read_text().replace("interfaces = []", f'interfaces = ["{LOOPBACK}"]', 1)
        settings.write_text(text)
    _start("server", "lab-controller", "--root", str(server))
    _until(lambda: _labctl("status", "--json", check=False).returncode == 0, "the controller")
    known = _labctl("status", "--json").stdout
    for name in names:
        if f'"{name}"' not in known:
            _until(partial(_is_found, name), name)
            code = (HOME / name / "run/lab-agent/code").read_text().split()[0]
            _labctl("pair", name, code)
    if '"citizen"' not in known:
        print(_labctl("profile", "publish", "citizen").stdout)
    script = PROJECT / "build/labctl"
    script.write_text(f'#!/bin/sh\nLABCTL_DOOR="{_door()}" exec "{_program("labctl")}" "$@"\n')
    script.chmod(0o755)
    print(_labctl("status").stdout)
    print(f"The lab runs ({time.monotonic() - began:.0f} s). Try build/labctl status --watch; make lab-down.")
    print(LIMITS)


def down() -> None:
    """End what `up` started, by the process ids it wrote down, and remove its files."""
    for file in sorted(HOME.glob("*.pid")):
        pid = _running(file)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            _until(partial(_has_ended, file), f"the end of {file.stem}")
        file.unlink()
    subprocess.run(["rm", "-rf", str(HOME), str(PROJECT / "build/labctl")], check=True)


def _start(name: str, program: str, *arguments: str) -> None:
    pid_file = HOME / f"{name}.pid"
    if _running(pid_file) is not None:
        return
    with (HOME / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [_program(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid_file.write_text(str(process.pid))


def _running(pid_file: Path) -> int | None:
    """The process id in the file, if that process is still the one we started."""
    try:
        pid = int(pid_file.read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if state != "Z" and str(HOME).encode() in command else None


def _has_ended(pid_file: Path) -> bool:
    return _running(pid_file) is None


def _is_found(name: str) -> bool:
    return f'"{name}"' in _labctl("discover", "--json").stdout


def _labctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LABCTL_DOOR": str(_door())}
    done = subprocess.run(
        [_program("labctl"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if check and done.returncode != 0:
        raise SystemExit(
            f"labctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr}{done.stdout}"
        )
    return done


def _door() -> Path:
    return HOME / "server/run/lab-controller/door.sock"


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _until(look: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds:.0f} s; see the logs in {HOME}")
        time.sleep(0.2)


def main() -> None:
    """Run `up` or `down`."""
    parser = argparse.ArgumentParser(prog="tests.lab.loopback", description=__doc__)
    parser.add_argument("verb", choices=("up", "down"))
    HOME.mkdir(parents=True, exist_ok=True)
    up() if parser.parse_args().verb == "up" else down()


if __name__ == "__main__":
    main()
