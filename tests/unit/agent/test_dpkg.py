"""Versions from dpkg's status file."""

import os
from pathlib import Path

import pytest

from agent.dpkg import Packages, installed_version

STATUS = b"""Package: chromium-common
Status: install ok installed
Version: 1.0-1

Package: chromium
Status: install ok installed
Priority: optional
Version: 156.0.8078.79-1~deb12u1
Description: a browser
 Package: chromium
 Version: 9

Package: openbox
Status: deinstall ok config-files
Version: 3.6.1-10
"""


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("chromium", "156.0.8078.79-1~deb12u1"),
        ("openbox", None),
        ("firefox", None),
        ("chromium-common", "1.0-1"),
    ],
)
def test_the_version_of_a_package_that_is_installed(package: str, version: str | None) -> None:
    assert installed_version(STATUS, package) == version
    assert installed_version(b"", package) is None


def test_an_upgrade_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "status"
    packages = Packages(file)
    assert packages.version("chromium") is None
    file.write_bytes(STATUS)
    assert packages.version("chromium") == "156.0.8078.79-1~deb12u1"
    fresh = tmp_path / "status-new"  # dpkg replaces the file
    fresh.write_bytes(STATUS.replace(b"156.0", b"157.0"))
    os.utime(fresh, ns=(1, 1))
    fresh.replace(file)
    assert packages.version("chromium") == "157.0.8078.79-1~deb12u1"
