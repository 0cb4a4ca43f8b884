"""The server's disk is full when the controller starts: the lab goes on, and labctl says what to do.

On a real file system with nothing free, seen by the controller alone (a mount
namespace of its own); the door is elsewhere.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.controller_kit import Controller, Lab, until

MOUNTS = subprocess.run(
    ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
)
pytestmark = pytest.mark.skipif(MOUNTS.returncode != 0, reason="needs root and a mount namespace")

FILLED = """
set -e
mount -t tmpfs -o size=8m tmpfs "$2"
cp -a "$1"/. "$2"
mount --move "$2" "$1"
cat /dev/zero >"$1/fill" 2>/dev/null || true
shift 2
exec "$@"
"""


def on_a_full_disk(controller: Controller, spare: Path) -> Controller:
    """The same lab's controller, with a copy of its data on a disk that has nothing free."""
    made = Controller.__new__(Controller)
    made.__dict__.update(controller.__dict__)
    folders = [str(data(made)), str(spare)]
    made.command = ["unshare", "-m", "sh", "-c", FILLED, "sh", *folders, *controller.command]
    return made


def data(controller: Controller) -> Path:
    return controller.root / "var/lib/lab-controller"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path, 1) as made:
        made.pair()
        made.controller.publish()
        made.controller.stop()
        (tmp_path / "spare").mkdir()
        made.controller = on_a_full_disk(made.controller, tmp_path / "spare")
        yield made


def test_a_server_with_a_full_disk_starts_says_so_and_goes_on_when_there_is_room(lab: Lab) -> None:
    controller = lab.controller.up()
    until(lambda: controller.station("pc-01")["presence"] == "online", "pc-01 online")
    checks = {one["name"]: one for one in controller.done("GET", "/v1/doctor")["checks"]}
    assert checks["disk"]["ok"] is False
    assert checks["disk"]["message"].startswith("0 MB of 8 MB free")
    controller.layer("allow: [https://dopo.example]\n")
    refused = controller.ask("POST", "/v1/profiles/citizen/publish", {"wait_s": 0})
    assert refused.status == 500, refused.body
    assert "disk" in refused.body["error"]
    assert "labctl doctor" in refused.body["hint"]
    rekeyed = controller.ask("POST", "/v1/rekey")
    assert rekeyed.status == 500
    assert "Traceback" not in controller.text()

    assert controller.process is not None
    fill = Path(f"/proc/{controller.process.pid}/root{data(controller)}/fill")
    os.truncate(fill, 0)
    assert controller.publish()["applied"] == ["pc-01"]
    controller.process.terminate()
    assert controller.process.wait(30) == 0


def test_it_ends_well_while_the_disk_is_full(lab: Lab) -> None:
    controller = lab.controller.up()
    until(lambda: controller.station("pc-01")["presence"] == "online", "pc-01 online")
    assert controller.process is not None
    controller.process.terminate()
    assert controller.process.wait(30) == 0, controller.text()
    assert "Traceback" not in controller.text()
