"""What a machine is made of, kept beside its disk so that any process can work on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.lab.rig.network import Network, Nic

DISK = "2G"


@dataclass(frozen=True, slots=True)
class Spec:
    """A machine as it was started.

    `base` is the directory of its base tree, `disk` the size of its writable disk ("64M", "2G"); `memory` a
    cap for all of it ("" for none); `cpus` the host's processors that it runs on ("0", "0-1"; "" for all);
    `layers` the directories stacked over the base tree, topmost first; `binds` host directories shown inside,
    read-only; `uuid` what its machine-id is made from: a re-imaged machine has another.
    """

    name: str
    release: str
    base: str
    uuid: str
    nics: tuple[Nic, ...]
    disk: str = DISK
    memory: str = ""
    cpus: str = ""
    layers: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()

    def save(self, path: Path) -> None:
        """Write the spec, whole or not at all."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1))
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> Spec:
        """Read a spec that `save` wrote."""
        data = json.loads(path.read_text())
        nics = tuple(Nic(**nic) for nic in data.pop("nics"))
        layers, binds = tuple(data.pop("layers")), tuple((a, b) for a, b in data.pop("binds"))
        return cls(nics=nics, layers=layers, binds=binds, **data)

    def with_nic(self, nic: Nic) -> Spec:
        """The same machine with one more card, or with another in place of the one of that name."""
        return replace(self, nics=(*(n for n in self.nics if n.name != nic.name), nic))

    def without_nic(self, name: str) -> Spec:
        """The same machine without a card."""
        return replace(self, nics=tuple(n for n in self.nics if n.name != name))


@dataclass(frozen=True, slots=True)
class Site:
    """The place a lab takes up here: its name prefix, its directory, the base trees, its network."""

    prefix: str
    directory: Path
    bases: Path
    network: Network

    @property
    def group(self) -> str:
        """The lab's control group, relative to the hierarchy."""
        return f"{self.prefix}-lab"

    @property
    def machines(self) -> Path:
        """Directory with one directory per machine."""
        return self.directory / "pc"
