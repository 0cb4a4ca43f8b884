"""labctl profile check: what is wrong or doubtful in the files, before anybody publishes them.

It needs no server: a technician may write profiles on a laptop. With a lab's
own files it takes those of /etc/lab-controller, laid over what ships.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from controller.cli.errors import Code, Failure
from controller.cli.here import layers
from controller.cli.i18n import _, ngettext
from controller.cli.render import closest, listed, say, show_json, styled

if TYPE_CHECKING:
    from kiosk_profiles.findings import Finding
    from kiosk_profiles.library import Library

FOLDERS = ("profiles", "services", "layers")


def check(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|FILE|DIR]...",
            help=_(
                "Profiles by name, files, or folders with profiles/ in them; all of the lab's if left out."
            ),
        ),
    ] = None,
    chromium: Annotated[
        bool,
        typer.Option("--chromium", help=_("Ask this machine's Chromium as well.")),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command. Exit code 1 where there is an error; a warning alone is no failure."""
    subject = _subject(what or [])
    findings = _check(subject)
    stopping = _errors(findings)
    if chromium:
        from controller.cli.chromium import ask

        findings = tuple(sorted({*findings, *ask(subject.library, subject.profiles)}))
    if as_json:
        show_json({"ok": not _errors(findings), "findings": [_as_json(finding) for finding in findings]})
    else:
        for finding in findings:
            say(_line(finding))
            if finding.hint:
                say(f"    {finding.hint}")
        say(summary(findings, stopping=bool(stopping)))
    if _errors(findings):
        raise typer.Exit(Code.FAILED)


def summary(findings: "Sequence[Finding]", *, stopping: bool) -> str:
    """The last line: how many of each, and whether they stop publishing (what Chromium says does not)."""
    errors = _errors(findings)
    warnings = len(findings) - errors
    if not findings:
        return styled(_("Nothing is wrong."), "green")
    counts = []
    if errors:
        counts.append(ngettext("{count} error", "{count} errors", errors).format(count=errors))
    if warnings:
        counts.append(ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings))
    return ", ".join(counts) + (
        _(": nothing can be published until the errors are gone.") if stopping else "."
    )


class Subject(NamedTuple):
    """What is checked: profiles by name, and files by their place among the lab's."""

    library: "Library"
    names: tuple[str, ...]
    places: dict[str, Path]

    @property
    def stems(self) -> list[str]:
        """The profiles among the files."""
        return [Path(place).stem for place in self.places if place.startswith("profiles/")]

    @property
    def others(self) -> list[str]:
        """The files that are layers or services, as findings name them."""
        return [str(path) for place, path in self.places.items() if not place.startswith("profiles/")]

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that this is about; none named is all of them."""
        return () if self.others else (*self.names, *self.stems)


def _subject(what: Sequence[str]) -> Subject:
    from kiosk_profiles.library import load_library

    directories = layers()
    files, names = [], []
    for text in what:
        path = Path(text)
        if path.is_dir():
            _must_have_files(path)
            directories.append(path)
        elif "/" in text or path.suffix in (".yaml", ".yml"):
            files.append(path)
        else:
            names.append(text)
    try:
        library = load_library(directories)
        places = {_place(path): path for path in files}
        for place, path in places.items():
            library = library.with_file(place, path.read_bytes(), str(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failure(
            _("{file} cannot be read: {reason}.").format(file=error.filename, reason=reason),
            _("Check the path, and that you may read it: ls -l {file}").format(file=error.filename),
        ) from None
    _must_be_known(names, library.profiles)
    return Subject(library, tuple(names), places)


def _check(subject: Subject) -> "tuple[Finding, ...]":
    """The findings about the profiles named, and about the files given."""
    library, names = subject.library, (*subject.names, *subject.stems)
    if not subject.places:
        return library.check(names)
    about_names = library.check(names) if names else ()
    others = subject.others
    about_others = [finding for finding in library.check() if finding.file in others] if others else []
    return tuple(sorted({*about_names, *about_others}))


def _must_be_known(names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            guess = closest(name, known)
            raise Failure(
                _("there is no profile {name}.").format(name=name),
                _("Did you mean {guess}?").format(guess=guess)
                if guess
                else _("There are: {names}.").format(names=listed(known)),
            )


def _must_have_files(directory: Path) -> None:
    if not any((directory / folder).is_dir() for folder in FOLDERS):
        raise Failure(
            _("{directory} has none of profiles/, services/ and layers/ in it.").format(directory=directory),
            _("Name the folder above them, or a single file."),
        )


def _place(path: Path) -> str:
    """Where a file would be in the lab's folder: its own path there if it says so, else a profile."""
    path = path.resolve()
    for folder in FOLDERS:
        if folder in path.parent.parts:
            at = len(path.parts) - 1 - path.parts[::-1].index(folder)
            return "/".join(path.parts[at:])
    return f"profiles/{path.stem}.yaml"


def _errors(findings: "Sequence[Finding]") -> int:
    return sum(finding.severity == "error" for finding in findings)


def _line(finding: "Finding") -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    severity = styled(_("error"), "red") if finding.severity == "error" else styled(_("warning"), "yellow")
    return f"{place}: {severity}: {finding.message}"


def _as_json(finding: "Finding") -> dict[str, str | int | None]:
    return {
        "file": finding.file,
        "line": finding.line or None,
        "severity": finding.severity,
        "message": finding.message,
        "hint": finding.hint,
    }
