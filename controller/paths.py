"""Where the controller's files are, below a prefix where one is given.

Cheap to import: labctl finds the door through it.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Every path of the controller. `root` is / on a real server, a prefix in a rootless lab."""

    root: Path = Path("/")
    settings_file: Path | None = None

    @property
    def etc(self) -> Path:
        """The lab's settings and its own profiles, services and layers."""
        return self.root / "etc/lab-controller"

    @property
    def settings(self) -> Path:
        """The settings file: `--config`, or lab.toml where it belongs."""
        return self.settings_file or self.etc / "lab.toml"

    @property
    def run(self) -> Path:
        """What lives only as long as the service."""
        return self.root / "run/lab-controller"

    @property
    def door(self) -> Path:
        """The Unix socket on which labctl is answered."""
        return self.run / "door.sock"

    def below(self, path: str) -> Path:
        """An absolute path of the settings file, below the prefix."""
        return self.root / path.lstrip("/")
