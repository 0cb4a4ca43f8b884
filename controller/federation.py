"""Taking a SPID federation's list into the lab's own bundle.

labctl has checked the list's signature and asked the technician; the door is
for technicians only. What would shut citizens out is refused here once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pydantic import ValidationError

from controller import door_models as m
from controller.files import write_file
from controller.problems import Problem
from controller.publishing import profile_problem
from controller.words import _
from kiosk_profiles.findings import ProfileError
from kiosk_profiles.library import Library
from kiosk_profiles.loader import load
from kiosk_profiles.services import (
    Bundle,
    FederationChange,
    FederationProvider,
    bundle_yaml,
    compare_providers,
    updated_bundle,
)

BUNDLE = "spid"


@dataclass(frozen=True)
class Update:
    """What the lab's bundle becomes; `text` is the file's, None where nothing changes."""

    change: FederationChange
    text: str | None


def plan_update(
    library: Library,
    providers: Sequence[m.SpidProvider],
    published: date | None,
    now: datetime,
    *,
    force: bool,
) -> Update:
    """The bundle with the federation's providers. Pure.

    Raises Problem for a list that would shut citizens out (unless `force`) and
    for hosts that are none.
    """
    try:
        bundle = library.bundle(BUNDLE).bundle
    except ProfileError as error:
        raise profile_problem(error.findings) from None
    new = [FederationProvider(one.entity, one.name or one.entity, tuple(one.hosts)) for one in providers]
    change = compare_providers(bundle, new, published)
    if change.refused and not force:
        raise Problem(
            "state",
            _("Not taken: {reason}.").format(reason=change.refused),
            _("Look at the list with somebody who knows; --force takes it all the same."),
        )
    if change.empty:
        return Update(change, None)
    today = now.date()
    try:
        text = bundle_yaml(updated_bundle(bundle, new, published or today, today))
    except ValidationError as error:
        detail = error.errors()[0]
        message = _("{value} is not what a provider has: {reason}.").format(
            value=repr(detail["input"])[:80], reason=detail["msg"]
        )
        raise Problem("input", message, _("Download the federation's list again.")) from None
    findings = load(Bundle, text.encode()).findings(f"services/{BUNDLE}.yaml")
    if findings:  # what the language would not take back must not get into the lab's folder
        raise profile_problem(findings)
    return Update(change, text)


def write_bundle(directory: Path, text: str) -> Path:
    """Put the bundle into the lab's services folder. Raises Problem where it may not be written."""
    path = directory / "services" / f"{BUNDLE}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode(), 0o664)
    except OSError as error:
        message = _("{file} cannot be written: {reason}.").format(file=path, reason=error.strerror)
        hint = _("Give lab-controller the right to: sudo labctl init puts the folders right.")
        raise Problem("failed", message, hint) from None
    return path
