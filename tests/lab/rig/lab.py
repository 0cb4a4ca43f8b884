"""A whole lab: the LAN, the machines on it, and the taking down of every trace."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from tests.lab.rig import base
from tests.lab.rig.cgroups import Group
from tests.lab.rig.faults import Faults
from tests.lab.rig.files import Content, File, write_archive
from tests.lab.rig.host import RigError, lock, require_root, say, wait_until
from tests.lab.rig.launch import attached_disks, check_layer
from tests.lab.rig.limits import raise_limits, restore_limits
from tests.lab.rig.machine import Machine
from tests.lab.rig.network import Network, Nic, mac_of, number_of
from tests.lab.rig.spec import DISK, Site, Spec
from tests.lab.rig.wake import wake_on_lan

DEFAULT_PREFIX = "aula"
DEFAULT_NET = "10.77.0"
DEFAULT_DIRECTORY = Path("/var/lib/publiclab-lab")
PCS = 10

T = TypeVar("T")


class Lab:
    """A lab of PCs. Several may run side by side, each with its own `prefix`, `net` and `directory`.

    `app_layers` names, per release, a directory stacked over Debian on every machine (what is being tested:
    /opt/..., units); it must not change while machines run on it. A with block takes the lab down at its end.
    """

    def __init__(
        self,
        prefix: str = DEFAULT_PREFIX,
        net: str = DEFAULT_NET,
        directory: Path = DEFAULT_DIRECTORY,
        *,
        app_layers: Mapping[str, Path | None] | None = None,
        release: str = "bookworm",
        bases: Path = base.DEFAULT_BASES,
    ) -> None:
        require_root()
        if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", prefix):
            raise RigError(f"a lab's prefix is up to 8 small letters and digits, not {prefix!r}")
        if not re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", net):
            raise RigError(f"a lab's network is given by three numbers such as {DEFAULT_NET}, not {net!r}")
        for path in (directory, bases):
            _check_path(path)
        self.release = release
        self.app_layers = dict(app_layers or {})
        self.network = Network(prefix, net, directory)
        self.site = Site(prefix, directory, bases, self.network)
        self.faults = Faults(self.site)
        self._group = Group(self.site.group)
        self._lock = directory / "lab.lock"

    @classmethod
    def at(cls, directory: Path, *, bases: Path = base.DEFAULT_BASES) -> Lab:
        """The lab that was brought up in `directory`, or one with the default names where there is none."""
        try:
            kept = json.loads((directory / "lab.json").read_text())
        except FileNotFoundError:
            return cls(directory=directory, bases=bases)
        layers = {release: Path(path) if path else None for release, path in kept["app_layers"].items()}
        return cls(
            kept["prefix"], kept["net"], directory, app_layers=layers, release=kept["release"], bases=bases
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.down()

    # -- bringing up

    def up(
        self,
        pcs: int = PCS,
        *,
        files: Mapping[str, Mapping[str, Content]] | None = None,
        timeout: float = 120,
    ) -> list[Machine]:
        """Start the server and pc-01 .. pc-NN, all at once, and wait until they have booted.

        Machines that run already are left alone; those switched off are switched on. `files` gives each
        machine's own files by name (see start). Raises RigError naming the machines that did not come up.
        """
        names = ["server", *(f"pc-{number:02d}" for number in range(1, pcs + 1))]
        own = files or {}
        return self.start_all({name: own.get(name, {}) for name in names}, timeout=timeout)

    def start_all(
        self, machines: Mapping[str, Mapping[str, Content]], *, timeout: float = 120
    ) -> list[Machine]:
        """Start several machines side by side (name -> its own files); otherwise as `start`."""
        return _side_by_side(
            list(machines), lambda name: self.start(name, files=machines[name], timeout=timeout)
        )

    def start(
        self,
        name: str,
        *,
        files: Mapping[str, Content] | None = None,
        release: str | None = None,
        disk: str = DISK,
        memory: str = "",
        cpus: str = "",
        address: str | None = None,
        app_layer: Path | None = None,
        binds: Mapping[str, str] | None = None,
        wait: bool = True,
        timeout: float = 90,
    ) -> Machine:
        """Start one machine and, with `wait`, see it through its boot (`timeout` seconds).

        All but `name` counts at its first start only; later ones power it on as it was. `files` (absolute
        path -> text, bytes, File or Link) are on its disk before the first boot; `disk` is the size of that
        disk, `memory` a cap on all its memory ("64M", "4G") and `cpus` the host's processors that it runs on
        ("0" for a PC with one core); `app_layer` stands in for the lab's own;
        `binds` shows host directories inside, read-only. A warning is printed when the machine is up but
        degraded.
        """
        with lock(self._lock, shared=True):
            self._prepare()
            machine = Machine(self.site, name)
            new = self._define(machine, files, release, disk, memory, cpus, address, app_layer, binds)
            machine.switch_on()
            if wait:
                state = machine.wait_running(timeout)
                if state != "running":
                    say(f"{name} is up but {state}: {', '.join(machine.failed_units())}")
                if new:
                    machine.sync()  # as after an installation: the first power cut finds a whole system
        return machine

    def _prepare(self) -> None:
        directory = self.site.directory
        with lock(directory / "lab.json.lock"):
            kept = {
                "prefix": self.site.prefix,
                "net": self.network.net,
                "release": self.release,
                "app_layers": {release: str(path or "") for release, path in self.app_layers.items()},
            }
            config = directory / "lab.json"
            before = json.loads(config.read_text()) if config.exists() else None
            if before and (before["prefix"], before["net"]) != (kept["prefix"], kept["net"]):
                raise RigError(
                    f"{directory} holds the lab {before['prefix']} on {before['net']}: take it down first"
                )
            if before is None and self._group.populated:
                raise RigError(f"a lab with prefix {self.site.prefix} runs from another directory")
            if before is None or not self.network.namespace().exists():
                raise_limits(self.site.bases)
                self.network.make_lan()
            if before != kept:  # last: a lab whose directory has this file has its LAN as well
                config.write_text(json.dumps(kept, indent=1))

    def _define(
        self,
        machine: Machine,
        files: Mapping[str, Content] | None,
        release: str | None,
        disk: str,
        memory: str,
        cpus: str,
        address: str | None,
        app_layer: Path | None,
        binds: Mapping[str, str] | None,
    ) -> bool:
        """Write down what a machine is made of, at its first start. True if this was that."""
        name = machine.name
        number = number_of(name)
        with lock(machine.directory / "lock"):
            config = machine.directory / "machine.json"
            if config.exists():
                return False
            release = release or self.release
            installed = base.find(release, self.site.bases)
            layers = [app_layer or self.app_layers.get(release)]
            for layer in filter(None, layers):
                _check_path(layer)
                check_layer(layer, installed.tree)
            if name == "server":
                layers.append(installed.server)
            spec = Spec(
                name=name,
                release=release,
                base=str(installed.directory),
                uuid=uuid.uuid4().hex,
                nics=(Nic("eth0", "br0", address or f"{self.network.net}.{number}", mac_of(name)),),
                disk=disk,
                memory=memory,
                cpus=cpus,
                layers=tuple(str(layer) for layer in layers if layer),
                binds=tuple((binds or {}).items()),
            )
            write_archive(machine.directory / "seed.tar", {**self._seed(name), **(files or {})})
            spec.save(config)
            return True

    def _seed(self, name: str) -> dict[str, Content]:
        seed: dict[str, Content] = {
            "/etc/hostname": f"{name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n",
            "/etc/resolv.conf": f"nameserver {self.network.net}.1\n",
        }
        if name == "server":
            seed["/root/.ssh/id_ed25519"] = File(base.ssh_key(self.site.bases).read_bytes(), 0o600)
        return seed

    # -- what there is

    def machine(self, name: str) -> Machine:
        """A machine by name. Raises RigError when it was never started in this lab."""
        machine = Machine(self.site, name)
        number_of(name)
        machine.spec  # noqa: B018  raises for a machine that is not there
        return machine

    def machines(self) -> list[Machine]:
        """All machines of the lab, running or not, the server first."""
        names = [path.parent.name for path in self.site.machines.glob("*/machine.json")]
        return [Machine(self.site, name) for name in sorted(names, key=lambda n: (n != "server", n))]

    @property
    def server(self) -> Machine:
        """The lab's server."""
        return self.machine("server")

    def pcs(self) -> list[Machine]:
        """All machines but the server."""
        return [machine for machine in self.machines() if machine.name != "server"]

    def remove(self, name: str) -> None:
        """Take a machine out of the lab for good, disk and all. Starting the name again makes a new PC."""
        machine = self.machine(name)
        self.heal(name)
        machine.discard()

    def wake_on_lan(self) -> contextlib.AbstractContextManager[None]:
        """A with block in which the magic packet with its address switches on a machine that is off."""
        return wake_on_lan(self.network, self.machines)

    # -- faults, by machine name; nic narrows a fault to one of several cables

    def _nics(self, name: str, nic: str | None) -> list[Nic]:
        machine = self.machine(name)
        return [machine.nic(nic)] if nic else list(machine.spec.nics)

    def cut(self, name: str, *, nic: str | None = None) -> None:
        """Pull a machine's network cable: it sees the carrier go."""
        self.faults.unplug(name, self._nics(name, nic))

    def drop(self, name: str, *, nic: str | None = None, match: str = "") -> None:
        """Lose all its packets in silence, as a broken switch does; `match` ("udp dport 5353") only some."""
        self.faults.add(name, self._nics(name, nic), match=match)

    def part(self, name: str, peer: str) -> None:
        """Keep two machines from hearing each other; both hear all others."""
        self.faults.part(name, self._nics(name, None), peer, self._nics(peer, None))

    def loss(self, name: str, percent: int, *, nic: str | None = None) -> None:
        """Lose a share of its packets at random, each way."""
        self.faults.add(name, self._nics(name, nic), percent=percent)

    def delay(self, name: str, ms: float, jitter_ms: float = 0, *, nic: str | None = None) -> None:
        """Hold each of its packets for `ms` milliseconds, each way."""
        self.faults.delay(name, self._nics(name, nic), ms, jitter_ms)

    def heal(self, name: str) -> None:
        """Undo every fault of a machine."""
        self.faults.heal(name, self._nics(name, None))

    # -- taking down

    def down(self, *, keep_disks: bool = False) -> None:
        """Remove the lab: processes, mounts, loop devices, namespaces, control groups, disks.

        Works on whatever is there, also after an `up` that failed half-way or a supervisor that was killed;
        may be repeated. With `keep_disks` the machines' disks stay and a next `up` boots them again.
        RigError when something cannot be removed.
        """
        directory = self.site.directory
        if directory.exists():
            with lock(self._lock):
                self._take_down()
                if keep_disks:
                    (directory / "faults.json").unlink(missing_ok=True)
                    return
                for path in directory.iterdir():
                    if path != self._lock:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                directory.rmdir()
        else:
            self._take_down()

    def _take_down(self) -> None:
        self._group.kill()
        directory = self.site.directory
        if not wait_until(lambda: not attached_disks(directory), timeout=30):
            raise RigError(f"still in use: {', '.join(attached_disks(directory))}")
        self.network.remove()
        self._group.remove()
        restore_limits(self.site.bases)
        for marker in directory.glob("relay-*"):
            marker.unlink()


def _check_path(path: Path) -> None:
    if not path.is_absolute() or re.search(r"[\s:,\\]", str(path)):  # it becomes a mount option
        raise RigError(f"the lab needs an absolute path free of blanks, colons and commas, not {path}")


def _side_by_side(names: Iterable[str], work: Callable[[str], T]) -> list[T]:
    """Do the same for each name at once. Raises one RigError that tells of all that failed."""
    names = list(names)
    # boots mostly wait for one another's CPU, not for this process
    with ThreadPoolExecutor(max_workers=max(1, min(len(names), 8 * (os.cpu_count() or 1)))) as pool:
        futures = [pool.submit(work, name) for name in names]
    failed = [(name, future.exception()) for name, future in zip(names, futures, strict=True)]
    problems = [f"{name}: {error}" for name, error in failed if error is not None]
    if problems:
        raise RigError("\n".join(problems))
    return [future.result() for future in futures]
