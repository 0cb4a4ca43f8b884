"""What is written correctly and still wrong: checks over a whole resolved profile. Pure.

The shapes of values are the loader's business. Here it is about what they do
together: a door that is too wide, a tile that leads to a blocked page, a login
whose hosts are incomplete.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from urllib.parse import urlsplit

from kiosk_profiles.browser import OWN_PAGES
from kiosk_profiles.compile import MAX_ALLOW, PlacedBundle, Resolved, Row, tile_place
from kiosk_profiles.findings import Finding, Severity, _, remembered
from kiosk_profiles.hosts import Pattern, allowed, exact_pattern, parse_pattern
from kiosk_profiles.layers import Source
from kiosk_profiles.loader import load
from kiosk_profiles.profile import Strict
from kiosk_profiles.services import Bundle

ALLOWING = ("browser.allow", "payment.allow")
"""Rows that open an address, always or while somebody pays."""


class Never(Strict):
    """A host that must not be listed, and why."""

    host: str
    reason: str


class HostFacts(Strict):
    """hosts.yaml."""

    suffixes: list[str]
    everything: list[str]
    never: list[Never]
    rehearsal: list[str]


@dataclass(frozen=True)
class Facts:
    """What the checks hold a profile against: Chromium's names, the lock-down's groups by
    policy (name, reason), and the SPID bundle that ships with this release."""

    policy_names: frozenset[str]
    chromium: int
    groups: dict[str, tuple[str, str]]
    spid: Bundle | None


@cache
def host_facts() -> HostFacts:
    """The facts about hosts that ship with the language."""
    loaded = load(HostFacts, resources.files("kiosk_profiles").joinpath("hosts.yaml").read_bytes())
    assert loaded.model is not None, loaded.problems  # noqa: S101 - a file of ours; the tests read it
    return loaded.model


def lint(resolved: Resolved, facts: Facts) -> tuple[Finding, ...]:
    """Everything doubtful or wrong about a resolved profile, by file and line."""
    found: list[Finding] = []
    for check in _CHECKS:
        found.extend(check(resolved, facts))
    return tuple(sorted(set(found)))


def _at(where: Row | Source, severity: Severity, message: str, hint: str = "") -> Finding:
    return Finding(where.file, where.line, severity, message, hint)


def _services(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    for name, setting in resolved.chosen("services"):
        placed = resolved.services.get(name)
        if placed is None:
            continue
        if placed.bundle.login and not any(
            resolved.value("services", login) for login in placed.bundle.login
        ):
            message = _("the service {name} is reached by signing in, and no way to sign in is listed")
            hint = _("add one of these services: {names}", names=", ".join(placed.bundle.login))
            yield _at(setting.source, "warning", message.format(name=name), hint)


def _entries(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    rows = [row for row in resolved.rows if row.path in ALLOWING]
    count = len({row.value for row in rows})
    if count > MAX_ALLOW:
        message = _("{count} addresses are allowed; Chromium reads {limit} and ignores the rest in silence")
        hint = _(
            "drop what nobody uses, or write a site once without a dot in front: subdomains are then covered"
        )
        yield _at(rows[-1], "error", message.format(count=count, limit=MAX_ALLOW), hint)
    denied = sum(row.path == "browser.deny" for row in resolved.rows)
    if denied > MAX_ALLOW - 50:
        row = next(row for row in resolved.rows if row.path == "browser.deny")
        message = _("{count} addresses are denied; Chromium reads {limit}", count=denied, limit=MAX_ALLOW)
        yield _at(row, "error", message, _("deny fewer: what is not allowed is blocked anyway"))


def _hosts(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    for row in resolved.rows:
        if row.path in ALLOWING and row.value not in OWN_PAGES:
            yield from (_at(row, "error", message, hint) for message, hint in _about_host(row.value))


@remembered(4096)
def _about_host(text: str) -> tuple[tuple[str, str], ...]:
    """What speaks against an entry by itself. Remembered: a lab's thousand hosts are the same each time."""
    pattern, known = parse_pattern(text), host_facts()
    found = []
    never = next((entry for entry in known.never if _under(pattern.host, entry.host)), None)
    if never is not None:
        message = _("{host} must not be listed: {reason}", host=text, reason=_(never.reason))
        found.append((message, _("delete it")))
    elif label := next((label for label in pattern.host.split(".") if _rehearses(label)), None):
        message = _("{host} is a rehearsal site ('{label}'), not the service", host=text, label=label)
        found.append((message, _("list the real site's host")))
    broad = _too_broad(pattern)
    return (*found, broad) if broad else tuple(found)


def _too_broad(pattern: Pattern) -> tuple[str, str] | None:
    known = host_facts()
    numeric = pattern.host.startswith("[") or pattern.host.replace(".", "").isdigit()
    if not pattern.exact and not numeric and ("." not in pattern.host or pattern.host in known.suffixes):
        message = _("{host} opens every site whose name ends in .{end}", host=pattern.text, end=pattern.host)
        return message, _(
            "name the sites, for instance www.example.{end}; or .{end} for exactly that host",
            end=pattern.host,
        )
    everything = next((site for site in known.everything if _site(pattern, site)), None)
    if everything is not None and not pattern.path:
        message = _("{host} is a way to the whole web or to strangers' pages", host=pattern.text)
        return message, _("list the one path that is needed, for instance www.{site}/page", site=everything)
    return None


def _site(pattern: Pattern, site: str) -> bool:
    """Whether the pattern is the site itself or its front door, not one of its other hosts."""
    return pattern.host in (site, f"www.{site}", f"m.{site}") or (
        site == "translate.goog" and _under(pattern.host, site)
    )


def _under(host: str, parent: str) -> bool:
    return host == parent or host.endswith("." + parent)


def _rehearses(label: str) -> bool:
    return any(
        label == word or label.startswith(word + "-") or label.endswith("-" + word)
        for word in host_facts().rehearsal
    )


def _spid(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    placed = resolved.services.get("spid")
    if placed is None or facts.spid is None or not resolved.value("services", "spid"):
        return
    if not placed.bundle.providers:
        hint = _("run 'labctl services update --spid FILE', or delete this file to use what ships")
        yield Finding(placed.file, 1, "error", _("the SPID bundle names no identity provider"), hint)
        return
    ours, shipped = placed.bundle.published, facts.spid.published
    if ours is None or shipped is None or ours > shipped:
        return  # newer than what ships: the federation's word, not ours
    yield from _spid_against(placed, facts.spid)


def _spid_against(placed: PlacedBundle, shipped: Bundle) -> Iterator[Finding]:
    mine = {provider.entity: provider for provider in placed.bundle.providers}
    known = {provider.entity: provider for provider in shipped.providers}
    hint = _("run 'labctl services update --spid FILE' with the federation's current list")
    for entity in sorted(known.keys() - mine.keys()):
        message = _("SPID: {name} is missing, its users cannot sign in", name=known[entity].name)
        yield Finding(placed.file, 1, "warning", message, hint)
    for entity in sorted(mine.keys() - known.keys()):
        line = placed.lines.get(mine[entity].hosts[0], 1)
        message = _("SPID: {name} is not in the federation", name=mine[entity].name)
        yield Finding(placed.file, line, "warning", message, hint)
    for entity in sorted(mine.keys() & known.keys()):
        patterns = [parse_pattern(text) for text in (*mine[entity].hosts, *mine[entity].also)]
        for text in known[entity].hosts:
            if not allowed(f"https://{parse_pattern(text).host}/", patterns):
                line = placed.lines.get(mine[entity].hosts[0], 1)
                message = _("SPID: {name} signs in at {host}, which is not listed")
                yield Finding(
                    placed.file, line, "warning", message.format(name=mine[entity].name, host=text), hint
                )


def _pages(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    if not resolved.managed("browser"):
        return
    start = resolved.settings.get(("start_page",))
    if start is None and not resolved.tiles:
        first = next(iter(resolved.settings.values()))
        message = _("no start page: the browser would open on a blocked page")
        yield _at(first.source, "error", message, _("write 'tiles: [...]', or 'start_page: https://...'"))
    elif start is not None and not allowed(start.value, resolved.allow, resolved.deny):
        yield _at(
            start.source,
            "error",
            *_blocked(_("the start page {url} is blocked by this very profile"), start.value, resolved),
        )
    if resolved.own_start is None:
        for name, setting in resolved.chosen("programs"):
            message = _("the program '{name}' has no tile: sessions begin on another page", name=name)
            hint = _("take 'start_page' out, or write the program under 'remove:' too")
            yield _at(setting.source, "warning", message, hint)
    for key, setting in resolved.chosen("tiles"):
        place = tile_place(resolved, setting.value)
        if place is None:
            message = _(
                "the tile '{name}' leads nowhere: no such service is listed, or it has no start address",
                name=key,
            )
            yield _at(
                setting.source,
                "error",
                message,
                _("add it under 'services:', or give the tile a title and a url"),
            )
        elif not allowed(place.url, resolved.allow, resolved.deny):
            yield _at(
                setting.source,
                "error",
                *_blocked(_("the tile's address {url} is blocked by this very profile"), place.url, resolved),
            )


def _blocked(message: str, url: str, resolved: Resolved) -> tuple[str, str]:
    if allowed(url, resolved.allow):
        return message.format(url=url), _(
            "an entry under 'deny:' covers it: remove that one, or choose another page"
        )
    hint = _("write 'allow: [\"{pattern}\"]', or add the service it belongs to")
    return message.format(url=url), hint.format(pattern=exact_pattern(url))


def _deny(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    for text, setting in resolved.chosen("deny"):
        pattern = parse_pattern(text)
        host = urlsplit(f"https://{pattern.host}/").hostname
        if not allowed(f"{pattern.scheme or 'https'}://{host}{pattern.path}", resolved.allow):
            message = _("{host} is denied, and nothing allows it: what is not allowed is blocked anyway")
            yield _at(setting.source, "warning", message.format(host=text), _("delete the entry"))


def _policies(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    for key, setting in resolved.settings.items():
        if key[:2] != ("browser", "policies"):
            continue
        name = key[2]
        if name not in facts.policy_names:
            yield _at(setting.source, "error", *unknown_policy(name, facts.chromium, facts))
        elif name in facts.groups:
            group, reason = facts.groups[name]
            message = _(
                "{name} is part of the lock-down ({group}): {reason}", name=name, group=group, reason=reason
            )
            yield _at(setting.source, "warning", message, _("delete the line unless you are sure"))


def unknown_policy(name: str, chromium: int, facts: Facts) -> tuple[str, str]:
    """Message and hint about a policy that a Chromium does not know."""
    message = _("Chromium {version} knows no policy '{name}' and would ignore it")
    return message.format(version=chromium, name=name), _close_policy(name, facts)


def _close_policy(name: str, facts: Facts) -> str:
    import difflib  # noqa: PLC0415 - only where there is a mistake

    near = difflib.get_close_matches(name, sorted(facts.policy_names), n=1)
    return _("did you mean '{close}'?", close=near[0]) if near else _("look it up in chrome://policy")


def _removals(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    everything = {row.value for row in resolved.rows if row.path == "browser.allow"}
    for key, setting in resolved.settings.items():
        if key[0] == "services" and setting.value is False:
            blocking = [tile for tile, chosen in resolved.chosen("tiles") if chosen.value.service == key[1]]
            if blocking:
                message = _("the service {name} is removed, and its tile stays", name=key[1])
                yield _at(
                    setting.source,
                    "warning",
                    message,
                    _("write 'tiles: [{name}]' under 'remove:' too", name=key[1]),
                )
        if key[0] == "allow" and setting.value is False:
            pattern = parse_pattern(key[1])
            if key[1] not in everything and allowed(
                f"https://{pattern.host}{pattern.path or '/'}", resolved.allow
            ):
                message = _("{host} is removed and stays open: another entry covers it", host=key[1])
                yield _at(setting.source, "warning", message, _("write it under 'deny:' to close it"))


def _sessions(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    """A session leans on what other kinds close."""
    offered = resolved.settings.get(("session", "offered"))
    if offered is None or not offered.value or not resolved.managed("session"):
        return
    for section, why in (
        ("kiosk_user", _("somebody could sign in as a citizen, or leave work for later")),
        ("network", _("citizens reach the whole Internet")),
        ("desktop", _("citizens leave the browser")),
    ):
        if not resolved.managed(section):
            source = resolved.settings[(section,)].source
            message = _(
                "sessions are offered, and '{section}' is not managed: {why}", section=section, why=why
            )
            yield _at(source, "warning", message, _("delete the line, or offer no sessions"))


def _page_limit(resolved: Resolved, facts: Facts) -> Iterator[Finding]:
    """A limit of pages belongs to a session, and leans on what keeps citizens from the printer itself."""
    limit = resolved.settings.get(("printing", "pages"))
    if limit is None or limit.value is None or not resolved.managed("printing"):
        return
    offered = resolved.settings.get(("session", "offered"))
    if offered is None or not offered.value or not resolved.managed("session"):
        message = _("pages are counted in a session, and this profile offers none: nothing is counted")
        yield _at(limit.source, "warning", message, _("delete the line, or write 'session: {offered: true}'"))
    elif not resolved.managed("network"):
        message = _("pages are counted, and 'network' is not managed: citizens reach the printer without it")
        yield _at(limit.source, "warning", message, _("delete the line 'network: null'"))


_CHECKS: tuple[Callable[[Resolved, Facts], Iterator[Finding]], ...] = (
    _services,
    _entries,
    _hosts,
    _spid,
    _pages,
    _deny,
    _policies,
    _removals,
    _sessions,
    _page_limit,
)
