"""The screens of the PCs in a browser on this machine, http://127.0.0.1:PORT/pc-01: to look at and to use.

For whoever tries `make lab`: a picture of the PC's screen a few times a second, and
clicks and keys on it go to the PC. It listens on loopback only, lives in the lab's
control group, and ends with the lab.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab.rig import Lab, Machine, RigError
from tests.lab.rig.cgroups import Group
from tests.lab.rig.host import CommandFailed, wait_until

SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
PROJECT = Path(__file__).resolve().parents[2]
MAX_ASK = 1024
KEYS = {
    "Enter": "Return",
    "Backspace": "BackSpace",
    "ArrowLeft": "Left",
    "ArrowRight": "Right",
    "ArrowUp": "Up",
    "ArrowDown": "Down",
    "PageUp": "Prior",
    "PageDown": "Next",
    "Escape": "Escape",
    "Tab": "Tab",
    "Home": "Home",
    "End": "End",
    "Delete": "Delete",
    **{f"F{number}": f"F{number}" for number in range(1, 13)},
}
"""Keys by the browser's name and by xdotool's; a letter is typed as it is."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body{{margin:0;background:#222;color:#eee;font:16px sans-serif}}p{{margin:.5em}}a{{color:#9cf}}
img{{display:block;max-width:100%;cursor:crosshair}}</style>
<p>{links} <span id="said"></span></p>
<img id="screen" alt="the screen of {name}">
<script>
const screen_ = document.getElementById("screen"), said = document.getElementById("said");
async function look() {{
  try {{
    const answer = await fetch("/{name}.png");
    if (answer.ok) {{
      const old = screen_.src;
      screen_.src = URL.createObjectURL(await answer.blob());
      URL.revokeObjectURL(old);
      said.textContent = "";
    }} else said.textContent = await answer.text();
  }} catch (gone) {{ said.textContent = "the lab is down"; }}
  setTimeout(look, 400);
}}
function ask(what) {{
  const headers = {{"Content-Type": "application/json"}};
  fetch("/{name}", {{method: "POST", headers, body: JSON.stringify(what)}});
}}
screen_.onclick = event => ask({{
  x: Math.round(event.offsetX * screen_.naturalWidth / screen_.clientWidth),
  y: Math.round(event.offsetY * screen_.naturalHeight / screen_.clientHeight)}});
document.onkeydown = event => {{
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault(); ask({{key: event.key}});
}};
look();
</script></html>
"""


class Viewer(BaseHTTPRequestHandler):
    """Answers for the PCs of one lab."""

    lab: Lab

    def do_GET(self) -> None:  # http.server's name
        """A page, or the picture on it."""
        path = urlsplit(self.path).path.strip("/") or "pc-01"
        name, picture, _ = path.partition(".png")
        machine = self._machine(name)
        if machine is None:
            return
        if not picture:
            links = " ".join(f'<a href="/{one.name}">{one.name}</a>' for one in self.lab.pcs())
            self._answer(200, "text/html; charset=utf-8", _PAGE.format(name=name, links=links).encode())
            return
        try:
            shot = machine.run_bytes(["maim", "--hidecursor", "-m", "3"], env=SCREEN, timeout=10).stdout
        except (RigError, CommandFailed, subprocess.TimeoutExpired):
            self._answer(503, "text/plain", f"{name} has no screen: is a session offered there?".encode())
            return
        self._answer(200, "image/png", shot)

    def do_POST(self) -> None:
        """A click or a key. Only from our own page: another site cannot send this type without asking."""
        machine = self._machine(urlsplit(self.path).path.strip("/"))
        if machine is None:
            return
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get_content_type() != "application/json" or not 0 < length <= MAX_ASK:
            self._answer(400, "text/plain", b"a click or a key, as JSON")
            return
        try:
            argv = _xdotool(json.loads(self.rfile.read(length)))
            machine.run(["xdotool", *argv], env=SCREEN, timeout=10)
        except (KeyError, TypeError, ValueError):
            self._answer(400, "text/plain", b"a click has x and y, a key its name")
        except (RigError, CommandFailed, subprocess.TimeoutExpired) as error:
            self._answer(503, "text/plain", str(error).encode())
        else:
            self._answer(204, "text/plain", b"")

    def _machine(self, name: str) -> Machine | None:
        if not (self.headers.get("Host") or "").startswith("127.0.0.1:"):  # a name that was rebound to us
            self._answer(403, "text/plain", b"this is on 127.0.0.1 only")
            return None
        try:
            return self.lab.machine(name)
        except (RigError, ValueError):
            self._answer(404, "text/plain", b"no such PC in this lab")
            return None

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # http.server's name
        """Nothing: a line for each picture would say nothing."""


def _xdotool(asked: dict[str, Any]) -> list[str]:
    """What to press. Raises KeyError, TypeError or ValueError for anything else."""
    if "key" in asked:
        key = asked["key"]
        if key in KEYS:
            return ["key", KEYS[key]]
        if not isinstance(key, str) or len(key) != 1 or not key.isprintable():
            raise ValueError(key)
        return ["type", "--", key]
    return ["mousemove", str(int(asked["x"])), str(int(asked["y"])), "click", "1"]


def start(lab: Lab) -> str:
    """The viewer's address; it is started unless it runs. RigError when it does not come up."""
    address = lab.site.directory / "viewer"
    group = Group(f"{lab.site.group}/viewer")
    if group.populated and address.exists():
        return address.read_text()
    address.unlink(missing_ok=True)
    group.create()
    log = lab.site.directory / "viewer.log"
    join = " ".join(map(str, group.join_files()))
    into_group = ["/bin/sh", "-c", 'for f in $RIG_JOIN; do echo $$ >"$f"; done; exec "$@"', "sh"]
    with log.open("ab") as out:
        subprocess.run(
            [
                "setsid",
                "--fork",
                *into_group,
                sys.executable,
                "-m",
                "tests.lab.viewer",
                str(lab.site.directory),
            ],
            env={**os.environ, "RIG_JOIN": join},
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=True,
        )
    if not wait_until(address.exists, timeout=10):
        raise RigError(f"the viewer did not start: see {log}")
    return address.read_text()


def main() -> None:
    """Serve until the lab ends."""
    parser = argparse.ArgumentParser(prog="tests.lab.viewer", description=__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    Viewer.lab = Lab.at(directory)
    with ThreadingHTTPServer(("127.0.0.1", 0), Viewer) as server:
        server.daemon_threads = True
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fresh = directory / "viewer.new"
        fresh.write_text(f"http://127.0.0.1:{server.server_port}/")
        fresh.rename(directory / "viewer")
        server.serve_forever()


if __name__ == "__main__":
    main()
