"""Where the lab's own files are, seen from labctl: on the server, or below the prefix of a rehearsal."""

from pathlib import Path

import click

from controller.paths import Paths


def paths() -> Paths:
    """The controller's paths. A door PREFIX/run/lab-controller/door.sock means a lab below PREFIX."""
    door = Path(click.get_current_context().find_root().params["door"])
    usual = Paths(Path("/")).door.relative_to("/")
    if door.is_absolute() and door.parts[-len(usual.parts) :] == usual.parts:
        return Paths(door.parents[len(usual.parts) - 1])
    return Paths()


def layers() -> list[Path]:
    """The folders with the lab's own profiles, services and layers that are there."""
    return [place for place in (paths().etc,) if place.is_dir()]
