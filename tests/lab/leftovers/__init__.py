"""What a session leaves: planted and searched for inside a PC by two programs that import nothing of ours.

Each is one file that runs under Debian's own Python: plant.py as the kiosk
user, search.py as root.
"""

from pathlib import Path


def source(name: str) -> str:
    """The text of one of them, for `python3 -c`."""
    return Path(__file__).with_name(f"{name}.py").read_text()
