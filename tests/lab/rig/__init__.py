"""The test lab: a LAN of real-systemd Debian PCs on one machine.

Each PC is Debian's own systemd as PID 1 in namespaces of its own, joined to the others by a bridge that
lives in a network namespace too, so the host's network, systemd and desktop are never touched. Tests use
`Lab` and `Machine`; people use `python3 -m tests.lab.rig --help`. Root is needed throughout.
"""

from tests.lab.rig.files import File, Link
from tests.lab.rig.host import CommandFailed, RigError
from tests.lab.rig.lab import Lab
from tests.lab.rig.machine import Machine

__all__ = ["CommandFailed", "File", "Lab", "Link", "Machine", "RigError"]
