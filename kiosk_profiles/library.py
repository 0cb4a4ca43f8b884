"""The library: every profile, layer and service bundle that a lab has, and what is asked of it.

    files -> Library -> resolve(profile, groups, station) -> compile | explain | lint

A library is made of texts by path (`profiles/citizen.yaml`) and immutable. The
texts may come from directories, the shipped one first and the lab's over it by
name, or from the database, where a publication keeps them; both give the same.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel

from kiosk_profiles.browser import BasePolicies, PolicyNames
from kiosk_profiles.compile import PlacedBundle, Resolved, Row
from kiosk_profiles.findings import Finding, ProfileError, _
from kiosk_profiles.layers import Setting, Settings, merge, settings
from kiosk_profiles.lint import Facts, lint
from kiosk_profiles.loader import Loaded, load
from kiosk_profiles.profile import Layer, Profile
from kiosk_profiles.profile import Text as Title
from kiosk_profiles.services import Bundle

Model = TypeVar("Model", bound=BaseModel)

SHIPPED = Path(__file__).parent
LAB_DIRECTORY = Path("/etc/lab-controller")
"""Where a lab keeps its own profiles/, services/ and layers/."""

LAB_FOLDERS = ("profiles", "services", "layers")
_BASE_LAYER = "layers/base.yaml"
_BASE_POLICIES = "browser/base.yaml"
_POLICY_NAMES = "browser/policy-names.yaml"


@dataclass(frozen=True)
class Text:
    """One file: its bytes, and how a technician knows it."""

    content: bytes
    shown: str


@dataclass(frozen=True)
class ProfileEntry:
    """A profile as a list shows it. `title` is its name where the file is broken."""

    name: str
    title: str
    file: str
    shipped: bool
    text: str


def read_directory(directory: Path, *, shipped: bool = False) -> dict[str, Text]:
    """The language's files below a directory, by their path in it. A folder that is not there is empty."""
    found: dict[str, Text] = {}
    folders = (*LAB_FOLDERS, "browser") if shipped else LAB_FOLDERS
    for folder in folders:
        for path in sorted((directory / folder).rglob("*.yaml")):
            inside = path.relative_to(directory).as_posix()
            shown = f"(shipped) {inside}" if shipped else str(path)
            found[inside] = Text(path.read_bytes(), shown)
    return found


def load_library(directories: Sequence[Path] = (LAB_DIRECTORY,)) -> "Library":
    """What ships, with each directory's files laid over it by name, the last one on top.

    Raises OSError where a file is there and cannot be read: a lab that silently
    lost its own layer would open what it meant to close.
    """
    texts = read_directory(SHIPPED, shipped=True)
    for directory in directories:
        texts.update(read_directory(directory))
    return Library(texts)


class Library:
    """Everything that can be assigned. Make it again when a file changed; it is cheap."""

    def __init__(self, texts: Mapping[str, Text]) -> None:
        self._texts = MappingProxyType(dict(texts))
        self._resolved: dict[tuple[str, ...], Resolved] = {}

    @classmethod
    def from_sources(cls, sources: Mapping[str, str | bytes]) -> "Library":
        """The library of texts by path, as `sources` gave them; what ships is not added."""
        return cls(
            {
                path: Text(text.encode() if isinstance(text, str) else text, path)
                for path, text in sources.items()
            }
        )

    @property
    def sources(self) -> dict[str, str]:
        """All texts by path, for keeping with a publication. Files that are not UTF-8 are left out."""
        found = {}
        for path, text in self._texts.items():
            try:
                found[path] = text.content.decode("utf-8")
            except UnicodeDecodeError:
                continue
        return found

    def with_file(self, path: str, content: bytes, shown: str) -> "Library":
        """This library with one file laid over it."""
        return Library({**self._texts, path: Text(content, shown)})

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles that can be assigned."""
        return self._names("profiles")

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Names of the service bundles."""
        return self._names("services")

    def _names(self, folder: str) -> tuple[str, ...]:
        return tuple(
            sorted(PurePosixPath(path).stem for path in self._texts if path.startswith(folder + "/"))
        )

    def entry(self, name: str) -> ProfileEntry:
        """A profile for a list. Raises ProfileError where there is none of that name."""
        text = self._texts.get(f"profiles/{name}.yaml")
        if text is None:
            raise ProfileError([self._no_profile(name)])
        model = load(Profile, text.content).model
        title = model.title.say(model.language) if model is not None else name
        shipped = text.shown.startswith("(shipped)")
        return ProfileEntry(name, title, text.shown, shipped, text.content.decode("utf-8", "replace"))

    def bundle(self, name: str) -> PlacedBundle:
        """A service bundle and where it is. Raises ProfileError where it is missing or broken."""
        path = f"services/{name}.yaml"
        text = self._texts.get(path)
        if text is None:
            hint = _("the services are: {names}", names=", ".join(self.services))
            raise ProfileError(
                [Finding(path, 0, "error", _("there is no service '{name}'", name=name), hint)]
            )
        loaded = load(Bundle, text.content)
        if loaded.model is None:
            raise ProfileError(loaded.findings(text.shown))
        return _placed(name, loaded, text.shown)

    def resolve(self, profile: str, groups: Sequence[str] = (), station: str | None = None) -> Resolved:
        """The profile with the layers of the lab, of `groups` (the last on top) and of the station over it.

        Raises ProfileError with every error in any file that takes part: a
        broken layer is never skipped, because it may be the one that closes something.
        """
        paths = self._stack(profile, groups, station)
        key = tuple(path for _name, path in paths)
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._resolve(profile, paths)
        return found

    def findings(
        self, profile: str, groups: Sequence[str] = (), station: str | None = None
    ) -> tuple[Finding, ...]:
        """Everything wrong or doubtful about what a station would get."""
        try:
            return lint(self.resolve(profile, groups, station), self.facts)
        except ProfileError as error:
            return error.findings

    def check(self, names: Iterable[str] = ()) -> tuple[Finding, ...]:
        """Findings about the named profiles (none named: about all profiles, services and layers),
        each under the lab's layer and under every group's and PC's, because a layer may break it."""
        wanted = tuple(names)
        found: set[Finding] = set() if wanted else set(self._file_findings())
        groups, stations = self._names("layers/group"), self._names("layers/pc")
        for name in wanted or self.profiles:
            found.update(self.findings(name))
            for group in groups:
                found.update(self.findings(name, (group,)))
            for station in stations:
                found.update(self.findings(name, (), station))
        return tuple(sorted(found))

    @cached_property
    def facts(self) -> Facts:
        """What the checks compare with."""
        names = self._shipped(PolicyNames, _POLICY_NAMES)
        groups = {
            name: (group.name, " ".join(group.reason.split()))
            for group in self._shipped(BasePolicies, _BASE_POLICIES).groups
            for name in group.policies
        }
        spid = load(Bundle, (SHIPPED / "services/spid.yaml").read_bytes()).model
        return Facts(frozenset(names.names), names.chromium, groups, spid)

    def _stack(self, profile: str, groups: Sequence[str], station: str | None) -> list[tuple[str, str]]:
        wanted = [
            ("base", _BASE_LAYER),
            (f"profile {profile}", f"profiles/{profile}.yaml"),
            ("lab", "layers/lab.yaml"),
        ]
        wanted += [(f"group {group}", f"layers/group/{group}.yaml") for group in groups]
        if station is not None:
            wanted.append((f"pc {station}", f"layers/pc/{station}.yaml"))
        if wanted[1][1] not in self._texts:
            raise ProfileError([self._no_profile(profile)])
        return [(name, path) for name, path in wanted if path in self._texts]

    def _resolve(self, profile: str, paths: Sequence[tuple[str, str]]) -> Resolved:
        errors: list[Finding] = []
        merged: Settings = {}
        title: Title | None = None
        for layer, path in paths:
            text = self._texts[path]
            loaded: Loaded[Layer] | Loaded[Profile]
            loaded = load(Profile if path.startswith("profiles/") else Layer, text.content)
            errors.extend(loaded.findings(text.shown))
            merged = merge(merged, settings(loaded, layer, text.shown))
            if isinstance(loaded.model, Profile):
                title = loaded.model.title
        services: dict[str, PlacedBundle] = {}
        for key, setting in merged.items():
            if key[0] == "services" and setting.value:
                try:
                    services[key[1]] = self.bundle(key[1])
                except ProfileError as error:
                    errors.extend(self._about_service(error, setting, key[1]))
        if errors:
            raise ProfileError(sorted(set(errors)))
        resolved = Resolved(profile, profile, merged, MappingProxyType(services), self._base)
        return replace(resolved, title=title.say(resolved.language)) if title is not None else resolved

    @cached_property
    def _base(self) -> tuple[Row, ...]:
        text = self._texts[_BASE_POLICIES]
        loaded = load(BasePolicies, text.content)
        if loaded.model is None or loaded.document is None:
            raise ProfileError(loaded.findings(text.shown))
        return tuple(
            Row(
                f"browser.policies.{name}",
                value,
                "base",
                text.shown,
                loaded.document.line(("groups", index, "policies", name)),
            )
            for index, group in enumerate(loaded.model.groups)
            for name, value in group.policies.items()
        )

    def _shipped(self, kind: type[Model], path: str) -> Model:
        text = self._texts.get(path)
        content = text.content if text is not None else (SHIPPED / path).read_bytes()
        loaded = load(kind, content)
        if loaded.model is None:
            raise ProfileError(loaded.findings(path))
        return loaded.model

    def _no_profile(self, name: str) -> Finding:
        near = difflib.get_close_matches(name, self.profiles, n=1)
        known = _("the profiles are: {names}", names=", ".join(self.profiles))
        hint = _("did you mean '{close}'?", close=near[0]) if near else known
        return Finding(
            f"profiles/{name}.yaml", 0, "error", _("there is no profile '{name}'", name=name), hint
        )

    def _about_service(self, error: ProfileError, setting: Setting, name: str) -> Iterator[Finding]:
        """A missing service is the fault of the line that names it; a broken one, of its own file."""
        if f"services/{name}.yaml" in self._texts:
            yield from error.findings
            return
        near = difflib.get_close_matches(name, self.services, n=1)
        known = _("the services are: {names}", names=", ".join(self.services))
        hint = _("did you mean '{close}'?", close=near[0]) if near else known
        message = _("there is no service '{name}'", name=name)
        yield Finding(setting.source.file, setting.source.line, "error", message, hint)

    def _file_findings(self) -> Iterator[Finding]:
        for path, text in self._texts.items():
            kind = _kind(path)
            if kind is None:
                hint = _("layers are layers/lab.yaml, layers/group/NAME.yaml and layers/pc/ID.yaml")
                yield Finding(text.shown, 0, "warning", _("this file is read by nothing"), hint)
            else:
                yield from load(kind, text.content).findings(text.shown)


def check(
    targets: Sequence[str | Path] = (), directories: Sequence[Path] = (LAB_DIRECTORY,)
) -> tuple[Finding, ...]:
    """Findings about profiles by name, and about files by path as if they lay in the lab's directory.

    A target with a slash or ending in .yaml is a file; what it is follows from
    the folder it lies in (profiles, services, layers; anywhere else a profile).
    No target: everything. Raises OSError where a named file cannot be read.
    """
    library = load_library(directories)
    if not targets:
        return library.check()
    names: list[str] = []
    found: set[Finding] = set()
    everything = False
    for target in targets:
        text = str(target)
        if "/" not in text and not text.endswith(".yaml"):
            names.append(text)
            continue
        path = Path(target)
        inside = _place_of(path)
        library = library.with_file(inside, path.read_bytes(), text)
        if inside.startswith("profiles/"):
            names.append(path.stem)
        else:
            everything = True
    found.update(library.check(() if everything else names))
    if everything:
        files = {str(target) for target in targets}
        found = {finding for finding in found if finding.file in files or _names_one(finding, names)}
    return tuple(sorted(found))


def _names_one(finding: Finding, names: Sequence[str]) -> bool:
    return Path(finding.file).stem in names


def _place_of(path: Path) -> str:
    """Where a file would lie in a lab's directory."""
    parents = [parent.name for parent in path.resolve().parents]
    if parents[0] == "services":
        return f"services/{path.stem}.yaml"
    if parents[0] in ("group", "pc") and parents[1] == "layers":
        return f"layers/{parents[0]}/{path.stem}.yaml"
    if parents[0] == "layers":
        return f"layers/{path.stem}.yaml"
    return f"profiles/{path.stem}.yaml"


def _kind(path: str) -> type[BaseModel] | None:
    match PurePosixPath(path).parts:
        case ("profiles", _):
            return Profile
        case ("services", _):
            return Bundle
        case ("layers", "lab.yaml" | "base.yaml") | ("layers", "group" | "pc", _):
            return Layer
        case ("browser", "base.yaml"):
            return BasePolicies
        case ("browser", "policy-names.yaml"):
            return PolicyNames
    return None


def _placed(name: str, loaded: Loaded[Bundle], shown: str) -> PlacedBundle:
    assert loaded.model is not None and loaded.document is not None  # noqa: S101 - the caller looked
    document, model = loaded.document, loaded.model
    lines = {host: document.line(("navigation", index)) for index, host in enumerate(model.navigation)}
    for index, provider in enumerate(model.providers):
        for word in ("hosts", "also"):
            for at, host in enumerate(getattr(provider, word)):
                lines.setdefault(host, document.line(("providers", index, word, at)))
    return PlacedBundle(name, model, shown, MappingProxyType(lines))
