"""Programs that run inside the rig's machines, on Debian's python3 and its standard library alone."""

from pathlib import Path


def source(name: str) -> str:
    """The text of one of them, to be run as `python3 -c TEXT ARGUMENTS`."""
    return Path(__file__).with_name(f"{name}.py").read_text()
