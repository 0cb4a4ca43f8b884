"""labctl services: the public services' bundles of hosts, and where they come from."""

import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.apps import noun
from controller.cli.client import door, understood
from controller.cli.errors import Failure, sentence
from controller.cli.here import layers, paths
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import say, show_json, styled, warn

if TYPE_CHECKING:
    from kiosk_profiles.services import FederationChange
    from kiosk_profiles.spid import Federation

app = noun(_("The public services' hosts, which profiles name by service."))

LARGEST_BYTES = 8 << 20
"""As kiosk_profiles.spid; nothing longer is read into memory."""


@app.command(help=_("Take the SPID providers' hosts from the federation's signed list."))
def update(
    spid: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help=_("The federation's SAML metadata, as downloaded from its registry.")
        ),
    ],
    fingerprint: Annotated[
        str,
        typer.Option(
            metavar="SHA256", help=_("Of the federation's certificate; [spid] in lab.toml if left out.")
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option(help=_("Take a list that lost providers, or is older, too."))
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=_("Do not ask."))] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help=_("For programs; asks nothing, so it needs --yes."))
    ] = False,
) -> None:
    """The command: verify, show, ask, write. Nothing is written before the answer."""
    content = _read(spid)
    with working(_("checking the signature")):
        federation = _verified(content, fingerprint or _pinned(), spid)
        change = _compare(federation)
    if change.refused and not force:
        raise Failure(
            _("not taken: {reason}.").format(reason=change.refused),
            _("Look at the list with somebody who knows; --force takes it all the same."),
        )
    if not as_json:
        for line in difference(change, federation):
            say(line)
    if change.empty:
        if as_json:
            show_json({"added": [], "removed": [], "written": ""})
        return
    if not yes:
        _ask(as_json)
    body = {
        "providers": [
            {
                "entity": provider.entity,
                "name": provider.name,
                "hosts": list(dict.fromkeys((*provider.hosts, *provider.logout))),
            }
            for provider in federation.providers
        ],
        "published": federation.published.isoformat(),
        "force": force,
    }
    answer = door().post("/v1/services/spid", body)
    if as_json:
        show_json(answer)
        return
    with understood():
        say(
            _("Written: {file}").format(file=answer["written"])
            if answer["written"]
            else _("Nothing to change.")
        )
    say(_("The PCs get it with the next publication: labctl profile publish NAME"))


def difference(change: "FederationChange", federation: "Federation") -> list[str]:
    """What an update would change, host by host."""
    lines = [
        _("The federation's list of {day}: {count} providers, signature good.").format(
            day=federation.published.isoformat(), count=len(federation.providers)
        )
    ]
    if change.empty:
        return [*lines, _("The lab has these hosts already.")]
    lines += [styled(_("  + provider {name}").format(name=name), "green") for name in change.added]
    lines += [styled(_("  - provider {name}").format(name=name), "red") for name in change.removed]
    lines += [styled(f"  + {host}", "green") for host in change.hosts_added]
    lines += [styled(f"  - {host}", "red") for host in change.hosts_removed]
    return lines


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise Failure(
            _("{file} cannot be read: {reason}.").format(file=file, reason=error.strerror or str(error)),
            _("Download the federation's list of identity providers, and name that file."),
        ) from None


def _verified(content: bytes, pin: str, file: Path) -> "Federation":
    from kiosk_profiles.spid import MetadataError, read_metadata

    try:
        return read_metadata(content, pin, datetime.now(UTC))
    except MetadataError as error:
        raise Failure(f"{file}: {error}.", sentence(error.hint)) from None


def _pinned() -> str:
    settings = paths().settings
    try:
        pin = tomllib.loads(settings.read_text(encoding="utf-8"))["spid"]["fingerprint"]
    except (OSError, KeyError, TypeError, ValueError):
        pin = ""
    if not isinstance(pin, str) or not pin:
        raise Failure(
            _("no certificate of the federation is pinned, so no list can be believed."),
            _(
                'Give its SHA-256 with --fingerprint, or write it into {file}: [spid] fingerprint = "...". '
                "docs/labctl.md says how to get it."
            ).format(file=settings),
        )
    return pin


def _compare(federation: "Federation") -> "FederationChange":
    from kiosk_profiles.findings import ProfileError
    from kiosk_profiles.library import load_library
    from kiosk_profiles.services import compare_providers

    try:
        bundle = load_library(layers()).bundle("spid").bundle
    except OSError as error:
        raise Failure(
            _("{file} cannot be read: {reason}.").format(
                file=error.filename, reason=error.strerror or str(error)
            ),
            _("Check the path, and that you may read it: ls -l {file}").format(file=error.filename),
        ) from None
    except ProfileError as error:
        raise Failure(str(error.findings[0]), _("`labctl profile check` shows all that is wrong.")) from None
    return compare_providers(bundle, federation.providers, federation.published)


def _ask(as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise Failure(_("nobody is here to ask."), _("--yes writes it without asking."))
    if not typer.confirm(_("Write it?")):
        warn(_("Nothing was written."))
        raise typer.Exit(1)
