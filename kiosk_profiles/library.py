"""The library: every profile, layer and service bundle that a lab has, and what is asked of it.

    files -> Library -> resolve(profile, groups, station) -> compile | explain | lint

A library is made of texts by path (`profiles/citizen.yaml`) and immutable. The
texts may come from directories, the shipped one first and the lab's over it by
name, or from the database, where a publication keeps them; both give the same.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel

from contract.identity import is_label
from kiosk_profiles.browser import BasePolicies, PolicyNames, StartWords
from kiosk_profiles.compile import PlacedBundle, Resolved, Row
from kiosk_profiles.findings import Finding, ProfileError, _
from kiosk_profiles.layers import Setting, Settings, merge, settings
from kiosk_profiles.lint import Facts, lint
from kiosk_profiles.loader import Loaded, load
from kiosk_profiles.profile import Layer, Profile
from kiosk_profiles.services import Bundle
from kiosk_profiles.yamltext import MAX_BYTES

Model = TypeVar("Model", bound=BaseModel)

SHIPPED = Path(__file__).parent
LAB_DIRECTORY = Path("/etc/lab-controller")
"""Where a lab keeps its own profiles/, services/ and layers/."""

LAB_FOLDERS = ("profiles", "services", "layers")
_BASE_LAYER = "layers/base.yaml"
_BASE_POLICIES = "browser/base.yaml"
_START_WORDS = "browser/start-page.yaml"
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
    """The language's files below a directory, by their path in it. A folder that is not there is empty.

    `.yml` files come along, so that they are refused instead of overlooked.
    """
    found: dict[str, Text] = {}
    for folder in (*LAB_FOLDERS, "browser") if shipped else LAB_FOLDERS:
        for path in sorted((directory / folder).rglob("*.y*ml")):
            if path.is_dir():
                continue
            inside = path.relative_to(directory).as_posix()
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            found[inside] = Text(content, f"(shipped) {inside}" if shipped else str(path))
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
        self._linted: dict[tuple[str, ...], tuple[Finding, ...]] = {}
        missing = [path for path in (_BASE_LAYER, _BASE_POLICIES) if path not in texts]
        if missing:  # without them every browser would be open
            raise ValueError(f"a library needs {' and '.join(missing)}")

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
        key = tuple(path for _layer, path in paths)
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._resolve(profile, paths)
        return found

    def findings(
        self, profile: str, groups: Sequence[str] = (), station: str | None = None
    ) -> tuple[Finding, ...]:
        """Everything wrong or doubtful about what a station would get. Ask before publishing: an error
        among them (findings.only_errors) must stop it."""
        try:
            resolved = self.resolve(profile, groups, station)
        except ProfileError as error:
            return error.findings
        key = tuple(path for _layer, path in self._stack(profile, groups, station))
        if key not in self._linted:
            self._linted[key] = lint(resolved, self.facts)
        return self._linted[key]

    def check(self, names: Iterable[str] = ()) -> tuple[Finding, ...]:
        """Findings about the named profiles (none named: about all profiles, services and layers),
        each under the lab's layer and under every group's and PC's, because a layer may break it."""
        wanted = tuple(names)
        found: set[Finding] = set() if wanted else set(self._file_findings())
        for stack in self._stacks(wanted):
            found.update(self.findings(*stack))
        return tuple(sorted(found))

    def resolvable(self, names: Iterable[str] = ()) -> Iterator[Resolved]:
        """What `check` looks at, as far as its files are well formed."""
        for stack in self._stacks(tuple(names)):
            try:
                yield self.resolve(*stack)
            except ProfileError:
                continue

    def _stacks(self, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
        groups, stations = self._names("layers/group"), self._names("layers/pc")
        for name in names or self.profiles:
            yield name, (), None
            yield from ((name, (group,), None) for group in groups)
            yield from ((name, (), station) for station in stations)

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
        errors = list(self._strays)
        merged: Settings = {}
        model: Profile | None = None
        for layer, path in paths:
            text = self._texts[path]
            loaded: Loaded[Layer] | Loaded[Profile]
            loaded = load(Profile if path.startswith("profiles/") else Layer, text.content)
            errors.extend(loaded.findings(text.shown))
            merged = merge(merged, settings(loaded, layer, text.shown))
            if isinstance(loaded.model, Profile):
                model = loaded.model
        services: dict[str, PlacedBundle] = {}
        for key, setting in merged.items():
            if (key[0] == "services" or key[:2] == ("payment", "services")) and setting.value:
                try:
                    services[key[-1]] = self.bundle(key[-1])
                except ProfileError as error:
                    errors.extend(self._about_service(error, setting, key[-1]))
        if errors or model is None:
            raise ProfileError(sorted(set(errors)))
        return Resolved(
            profile=profile,
            title=model.title,
            description=model.description,
            settings=merged,
            services=MappingProxyType(services),
            base=self._base,
            start_words=self._shipped(StartWords, _START_WORDS),
        )

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
        yield from self._strays
        for path, text in self._texts.items():
            kind = _kind(path)
            if kind is not None:
                yield from load(kind, text.content).findings(text.shown)

    @cached_property
    def _strays(self) -> tuple[Finding, ...]:
        """Files that nothing would read: perhaps the very layer that closes something, under a wrong name."""
        message = _("nothing reads a file of this name")
        hint = _(
            "files are profiles/NAME.yaml, services/NAME.yaml, layers/lab.yaml, layers/group/NAME.yaml and "
            "layers/pc/ID.yaml; names are small letters, digits and hyphens"
        )
        strays = (text.shown for path, text in self._texts.items() if _kind(path) is None)
        return tuple(Finding(shown, 0, "error", message, hint) for shown in strays)


def _kind(path: str) -> type[BaseModel] | None:
    """What a file at `path` holds; None where the language has no such place."""
    match tuple(path.removesuffix(".yaml").split("/")) if path.endswith(".yaml") else ():
        case ("browser", "base"):
            return BasePolicies
        case ("browser", "policy-names"):
            return PolicyNames
        case ("browser", "start-page"):
            return StartWords
        case ("layers", "lab" | "base"):
            return Layer
        case ("layers", "group" | "pc", name) if is_label(name):
            return Layer
        case ("profiles", name) if is_label(name):
            return Profile
        case ("services", name) if is_label(name):
            return Bundle
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
