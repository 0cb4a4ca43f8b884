"""The peers, installed where nothing else sees them: below build/peers, never into the system.

A peer that cannot be had (no network, no such package) is None, and its
benchmark says so; no figure is made up for it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parents[1] / "build" / "peers"

ANSIBLE = "ansible-core>=2.18,<2.20"  # 2.20 needs Python 3.12 on the side that it is started from
SALT = "salt>=3007,<3009"
PYINFRA = "pyinfra>=3.10,<4"
INSTALL_S = 300


def venv(name: str, requirement: str) -> Path | None:
    """The bin directory of a virtual environment with one package from PyPI."""
    home = PEERS / name
    stamp = home / "requirement"
    if not stamp.exists() or stamp.read_text() != requirement:
        shutil.rmtree(home, ignore_errors=True)
        _note(f"installing {requirement} into build/peers/{name}")
        if not (
            _runs([sys.executable, "-m", "venv", str(home)])
            and _runs([str(home / "bin/pip"), "-q", "--disable-pip-version-check", "install", requirement])
        ):
            return None
        stamp.write_text(requirement)
    return home / "bin"


def for_a_pc(name: str, requirement: str) -> Path | None:
    """A folder with one package from PyPI and what it needs, for the Python of the lab's PCs (Debian 12)."""
    tree = PEERS / f"{name}-pc"
    stamp = tree / "requirement"
    if not stamp.exists() or stamp.read_text() != requirement:
        shutil.rmtree(tree, ignore_errors=True)
        _note(f"fetching {requirement} into build/peers/{tree.name}")
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"]
        for abi in ("cp311", "abi3", "none"):
            options += ["--abi", abi]
        for platform in ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64", "any"):
            options += ["--platform", platform]
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        if not _runs([*pip, "--target", str(tree), *options, requirement]):
            return None
        stamp.write_text(requirement)
    return tree


def code_of(commit: str) -> Path | None:
    """The project as it was at a commit; None where its history is not here."""
    project = PEERS.parents[1]
    tree = PEERS / f"before-{commit[:7]}"
    if not tree.exists():
        archive = PEERS / f"{tree.name}.tar"
        fresh = PEERS / f"{tree.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        git = ["git", "-c", f"safe.directory={project}", "-C", str(project)]
        if not _runs([*git, "archive", "-o", str(archive), commit]):
            return None
        if not _runs(["tar", "-xf", str(archive), "-C", str(fresh)]):
            return None
        archive.unlink()
        fresh.rename(tree)
    return tree


def debian(package: str) -> Path | None:
    """A Debian package's files, unpacked and not installed: no maintainer script runs."""
    tree = PEERS / package
    if not tree.exists():
        fetched = PEERS / f"{package}.fetch"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir(parents=True)
        _note(f"fetching Debian's {package} into build/peers/{package}")
        if not _runs(["apt-get", "-q", "download", package], fetched):
            _runs(["apt-get", "-q", "update"])
            if not _runs(["apt-get", "-q", "download", package], fetched):
                return None
        if not _runs(["dpkg-deb", "-x", str(next(fetched.glob("*.deb"))), str(fetched / "tree")]):
            return None
        (fetched / "tree").rename(tree)
        shutil.rmtree(fetched)
    return tree


def _runs(argv: list[str], where: Path | None = None) -> bool:
    """Whether a command succeeds; its last line is told if it does not."""
    try:
        done = subprocess.run(argv, cwd=where, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        _note(f"{argv[0]}: {error}")
        return False
    if done.returncode != 0:
        _note(f"{' '.join(argv[:4])}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.returncode == 0


def _note(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
