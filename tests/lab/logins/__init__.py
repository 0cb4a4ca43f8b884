"""A small SAML federation on host names of the lab's own; federation.py runs on the lab's server."""

from pathlib import Path


def federation_file() -> Path:
    """The program."""
    return Path(__file__).with_name("federation.py")
