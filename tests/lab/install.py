"""Installing the software under test into the lab's machines: one layer for each Debian release.

What a machine gets is what a real PC gets: our own wheel and pinned wheels of
what it needs, in private virtual environments under /opt, units, and users made
by systemd-sysusers. Wheels are fetched on the host beforehand; nothing inside a
machine ever asks a package index.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tests.lab.rig import base
from tests.lab.rig.host import lock, run_host, say

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
PARTS = ("agent", "controller")
SOURCES = (
    "contract",
    "agent",
    "controller",
    "kiosk_profiles",
    "systemd",
    "pyproject.toml",
    "constraints.txt",
)
KEPT_S = 1200
"""How long a layer is kept for whoever asked for it: the ten PCs start within minutes."""
_RECIPE = 3  # raise it when the code below installs something else from the same sources
_PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64")


def app_layer(release: str, bases: Path = base.DEFAULT_BASES, project: Path = PROJECT) -> Path:
    """The layer with today's code for `release`; built when the code has changed.

    `project` is where the code is: another one for code of another day, with today's wheels of the rest.

    Layers of other code that no running lab uses are removed, but for those that somebody asked for lately:
    another checkout may be about to start its machines.
    """
    tree = base.build(release, bases).tree
    layer = layer_path(release, bases, project)
    home = layer.parent
    home.mkdir(parents=True, exist_ok=True)
    with lock(home / "lock"):
        if not layer.exists():
            dependencies = _dependencies(release, tree, home)
            _build(release, tree, home, dependencies, layer, project)
        os.utime(layer)
        for old in home.glob("code-*"):
            if time.time() - old.stat().st_mtime > KEPT_S and not _in_use(old):
                shutil.rmtree(old, ignore_errors=True)
    return layer


def layer_path(release: str, bases: Path = base.DEFAULT_BASES, project: Path = PROJECT) -> Path:
    """Where the layer with the code of `project` is, or will be when it is built."""
    tree = base.find(release, bases).tree
    return bases / "app" / release / f"code-{_code_key(release, tree, project)}"


def _code_key(release: str, tree: Path, project: Path) -> str:
    digest = hashlib.sha256(f"{_RECIPE} {release} {tree}".encode())
    for path in sorted(_files(project)):
        digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(project: Path) -> Iterable[Path]:
    for name in SOURCES:
        top = project / name
        yield from (
            [top]
            if top.is_file()
            else (path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        )


def _in_use(layer: Path) -> bool:
    return any(str(layer) in line for line in _mounts())


def _mounts() -> list[str]:
    found: list[str] = []
    for table in Path("/proc").glob("[0-9]*/mounts"):
        try:
            found += table.read_text().splitlines()
        except OSError:  # the process has ended meanwhile
            continue
    return found


def _dependencies(release: str, tree: Path, home: Path) -> Path:
    """The wheels of everything but our own code, for the interpreter of `release`."""
    # By what is needed, not by all of pyproject.toml: checkouts side by side share them.
    text = (PROJECT / "constraints.txt").read_bytes() + "\n".join(_requirements()).encode()
    wheels = home / f"wheels-{hashlib.sha256(text).hexdigest()[:16]}"
    if wheels.exists():
        return wheels
    say(f"fetching wheels for {release}'s Python {PYTHON[release]}")
    fresh = home / "wheels.new"
    shutil.rmtree(fresh, ignore_errors=True)
    python = PYTHON[release]
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    options += ["--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"]
    for platform in (*_PLATFORMS, "any"):
        options += ["--platform", platform]
    needs = _requirements()
    _pip("download", "--dest", str(fresh), "-c", str(PROJECT / "constraints.txt"), *options, *needs)
    for old in home.glob("wheels-*"):
        shutil.rmtree(old)
    fresh.rename(wheels)
    return wheels


def _requirements() -> list[str]:
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return sorted({*project["dependencies"], *(need for part in PARTS for need in extras[part])})


def _pip(*arguments: str) -> None:
    run_host([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], timeout=600)


def _build(release: str, tree: Path, home: Path, wheels: Path, layer: Path, project: Path) -> None:
    """Install into an overlay over the base tree; what was written there is the layer."""
    say(f"installing {'today' if project == PROJECT else project.name}'s code for {release}")
    fresh, work, root, ours = (home / name for name in ("layer.new", "work", "root", "our-wheel"))
    # What a build that was killed has left mounted.
    run_host(["umount", "--recursive", "--lazy", str(root)], check=False)
    for path in (fresh, work, root, ours):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    fresh.chmod(0o755)
    source = home / "source"
    shutil.rmtree(source, ignore_errors=True)
    for path in _files(project):
        target = source / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (source / "README.md").write_text("publiclab\n")
    _pip("wheel", "--no-deps", "-w", str(ours), str(source))
    with ExitStack() as stack:

        def mount(*arguments: str) -> None:
            run_host(["mount", *arguments])
            stack.callback(run_host, ["umount", arguments[-1]])

        overlay = f"lowerdir={tree},upperdir={fresh},workdir={work}"
        mount("-t", "overlay", "overlay", "-o", overlay, str(root))
        for name, folder in (("wheels", wheels), ("ours", ours)):
            (root / "mnt" / name).mkdir()
            stack.callback((root / "mnt" / name).rmdir)
            mount("--bind", "-o", "ro", str(folder), str(root / "mnt" / name))
        mount("-t", "proc", "proc", str(root / "proc"))
        for part in PARTS:
            inside = f"/opt/lab-{part}"
            _chroot(root, "python3", "-m", "venv", inside)
            wheel = next(ours.glob("*.whl")).name
            _chroot(
                root,
                f"{inside}/bin/pip",
                *(
                    "--disable-pip-version-check",
                    "-q",
                    "install",
                    "--no-index",
                    "--find-links",
                    "/mnt/wheels",
                ),
                f"/mnt/ours/{wheel}[{part}]",
            )
        _units(root, project)
        for file in sorted((root / "usr/lib/sysusers.d").glob("lab-*.conf")):
            _chroot(root, "systemd-sysusers", f"/{file.relative_to(root)}")
        for file in sorted((root / "usr/lib/tmpfiles.d").glob("lab-*.conf")):
            _chroot(root, "systemd-tmpfiles", "--create", f"/{file.relative_to(root)}")
    for path in (work, root, ours, source):
        shutil.rmtree(path, ignore_errors=True)
    fresh.rename(layer)


def _units(root: Path, project: Path) -> None:
    for file in sorted((project / "systemd").rglob("*")):
        if file.suffix in (".service", ".slice", ".socket", ".timer"):
            shutil.copyfile(file, root / "usr/lib/systemd/system" / file.name)
        elif file.suffix == ".conf":
            shutil.copyfile(file, root / "usr/lib" / file.parent.name / file.name)
        elif file.parent.name == "cups-backend":
            backend = root / "usr/lib/cups/backend" / file.name
            shutil.copyfile(file, backend)
            backend.chmod(0o755)
    for name, target in (
        ("lab-agent", "lab-agent"),
        ("labctl", "lab-controller"),
        ("lab-controller", "lab-controller"),
    ):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/opt/{target}/bin/{name}")


def _chroot(root: Path, *argv: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["chroot", str(root), *argv],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(argv)} in the layer ended with {done.returncode}: {done.stderr[-2000:]}"
        )


def main() -> None:
    """Build the layers of the releases named on the command line (all by default)."""
    for release in sys.argv[1:] or PYTHON:
        say(f"{release}: {app_layer(release)}")


if __name__ == "__main__":
    os.umask(0o022)
    main()
