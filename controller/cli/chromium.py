"""What the browser on this machine makes of the policy: labctl profile check --chromium."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from controller.cli.errors import Failure
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import warn

if TYPE_CHECKING:
    from controller.policy_reader import Unreadable
    from kiosk_profiles.findings import Finding
    from kiosk_profiles.library import Library
    from kiosk_profiles.policy_table import PolicyState


def ask(library: "Library", profiles: Sequence[str]) -> "set[Finding]":
    """The findings about `profiles` (none: all), each under every layer that a PC may have over it.

    Raises Failure where Chromium cannot be asked.
    """
    import json

    from controller.policy_reader import PolicyReader, Unreadable
    from kiosk_profiles.policy_table import table_findings, to_read

    found: set[Finding] = set()
    tables: dict[str, dict[str, PolicyState]] = {}
    try:
        with ExitStack() as stack:
            stack.enter_context(working(_("asking Chromium")))
            reader = stack.enter_context(PolicyReader())
            if reader.major != library.facts.chromium:
                _warn_of_version(reader.major, library.facts.chromium)
            for resolved in library.resolvable(profiles):
                section = resolved.resources.paying().browser_policy
                if section is None:
                    continue
                document: dict[str, Any] = to_read(section)
                key = json.dumps(document, sort_keys=True)
                if key not in tables:  # ten PCs with one policy are one reading
                    tables[key] = reader.read(document)
                found.update(table_findings(resolved, tables[key], library.facts, reader.major))
    except Unreadable as trouble:
        raise _failure(trouble) from None
    return found


def _warn_of_version(here: int, known: int) -> None:
    sentence = _("The Chromium of this machine is {here}; the names that `check` knows are of {known}.")
    warn(sentence.format(here=here, known=known))


def _failure(trouble: "Unreadable") -> Failure:
    match trouble.trouble:
        case "missing":
            return Failure(
                _("there is no Chromium on this machine."),
                _("Install it (apt install chromium), or run the command on a machine that has it."),
            )
        case "root":
            return Failure(
                _("Chromium does not run as root."), _("Run the command as yourself, without sudo.")
            )
        case "namespace":
            return Failure(
                _("Chromium needs a room of its own, and the kernel refuses it: {said}").format(
                    said=trouble.said
                ),
                _("See that unprivileged user namespaces are allowed: sysctl user.max_user_namespaces"),
            )
        case "start":
            return Failure(
                _("Chromium does not start: {said}").format(said=trouble.said or _("it said nothing")),
                _("Try it by itself: chromium --headless --dump-dom about:blank"),
            )
        case "lost":
            return Failure(
                _("Chromium stopped answering in the middle of a policy."),
                _("See whether a policy ends the browser or takes its tools away, and try again."),
            )
        case "strange":
            return Failure(
                _("Chromium's policy page is not what this labctl knows: {said}").format(said=trouble.said),
                _("A new Chromium may need a new labctl; the check without --chromium still holds."),
            )
