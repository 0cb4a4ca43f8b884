"""What a citizen's programs may reach: the lab's hosts through a proxy on the PC, and nothing else.

Chromium's own policy stops navigation only; images, scripts, fetch, WebSocket
and DNS go past it. So the kernel drops whatever the kiosk user sends anywhere
but to the local proxy (nftables, by user id), and the proxy (tinyproxy) opens
connections to hosts on the list and refuses the rest by name.

In force means: the table in the kernel is ours to the letter, the proxy runs,
and it has read its files since they changed (`loaded`, as in the time kind).
"""

from collections.abc import Iterable

from agent.core.changes import (
    Action,
    Change,
    Effect,
    FileState,
    Forget,
    LoadRules,
    Owned,
    Plan,
    Reader,
    Reload,
    Remember,
    Run,
)
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Network, Resources
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "network"
TABLE = "lab_kiosk"
UNIT = "lab-proxy.service"
PORT = 8118
SETTINGS = "/etc/lab-agent/proxy/tinyproxy.conf"
HOSTS = "/etc/lab-agent/proxy/hosts"

PROGRAM, PACKAGE = "/usr/bin/tinyproxy", "tinyproxy-bin"
_PROCESSES = f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.events"

_OUT = sentence("the lab no longer manages the network")
_LOADED = "loaded"
_RULES = "rules"
_LOAD = Reload(unit=UNIT)
_STOP = Run(argv=("systemctl", "stop", UNIT))


class Observed(Message, frozen=True):
    """The proxy's files, the kernel's table, the kiosk user's id, whether the proxy is there and runs."""

    files: Found
    rules: str | None
    uid: int | None
    running: bool
    installed: bool = True


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What the kernel and the proxy do now; nothing is asked while it is not managed."""
    section = wanted.network
    managed = section is not None or bool(owned)
    return Observed(
        files=observe_files((SETTINGS, HOSTS), owned, reader),
        rules=reader.rules(TABLE) if managed else None,
        uid=reader.uid(section.user) if section is not None else None,
        running=reader.running(UNIT) if managed else False,
        installed=section is None or reader.program(PROGRAM),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The kernel's table first, then the proxy that opens what may be open."""
    section = wanted.network
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        return _leave(planner, observed, owned)
    changes: list[Change] = []
    if observed.uid is None:  # nothing can be done but to say so: the PC does not count as converged
        why = sentence("there is no user {user} on this PC", user=section.user)
        changes.append(_change(TABLE, Effect.TIGHTEN, why))
    elif observed.rules != (rules := kernel_rules(observed.uid)):
        remember = () if _RULES in owned else (Remember(kind=NAME, key=_RULES, value=b""),)
        why = sentence("the kernel's table is not the lab's")
        changes.append(_change(TABLE, Effect.TIGHTEN, why, *remember, LoadRules(table=TABLE, rules=rules)))
    if not observed.installed:
        why = sentence("it is missing: apt install {package}", package=PACKAGE)
        return (*changes, _change(PROGRAM, Effect.TIGHTEN, why))
    wishes = (
        FileWish(path=SETTINGS, content=proxy_settings(section).encode()),
        FileWish(path=HOSTS, content=proxy_hosts(section).encode()),
    )
    content = b"".join(wish.content for wish in wishes)
    if not (all(map(planner.is_right, wishes)) and owned.get(_LOADED) == content and observed.running):
        changes += _gate(planner, observed, *wishes)
    return (*changes, *planner.tidy((SETTINGS, HOSTS)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The proxy, its files and its control group; the kernel tells of its table itself."""
    return () if wanted.network is None else (SETTINGS, HOSTS, PROGRAM, _PROCESSES)


def kernel_rules(uid: int) -> str:
    """The table, as nft lists it."""
    return f"""table inet {TABLE} {{
	chain output {{
		type filter hook output priority 0; policy accept;
		meta skuid {uid} jump kiosk
	}}

	chain kiosk {{
		oifname "lo" ip daddr 127.0.0.1 tcp dport {PORT} accept
		counter reject with icmpx 3
	}}
}}
"""


def proxy_settings(network: Network) -> str:
    """tinyproxy: loopback only, deny unless listed, TLS to named ports only, nothing written down."""
    head = f"""# Written by lab-agent; what is changed here is put back.
Port {PORT}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 120
MaxClients 200
LogLevel Critical
Filter "{HOSTS}"
FilterExtended On
FilterDefaultDeny Yes
DisableViaHeader Yes
"""
    return head + "".join(f"ConnectPort {port}\n" for port in sorted(set(network.ports)))


def proxy_hosts(network: Network) -> str:
    """One anchored expression a host: `.inps.it` that host, `inps.it` with all below it."""
    return "".join(f"{line}\n" for line in sorted(set(_expressions(network.hosts))))


def _expressions(hosts: Iterable[str]) -> Iterable[str]:
    for host in hosts:
        name = host.lstrip(".").lower().replace(".", r"\.")
        yield f"^{name}$" if host.startswith(".") else rf"^(.*\.)?{name}$"


def _gate(planner: FilePlanner, observed: Observed, settings: FileWish, hosts: FileWish) -> Plan:
    """The proxy with the lab's hosts: what is to be closed first, then what opens."""
    kept = _kept(observed.files.files.get(HOSTS), hosts.content)
    loaded = Remember(kind=NAME, key=_LOADED, value=settings.content + hosts.content)
    if kept is None:
        return (_load(planner, observed, (settings, hosts), loaded),)
    if kept == hosts.content and planner.is_right(settings):
        return (_shut(planner, hosts, loaded),)
    fewer = FileWish(path=HOSTS, content=kept)
    return (_shut(planner, fewer), _load(planner, observed, (settings, hosts), loaded))


def _kept(state: FileState | None, wanted: bytes) -> bytes | None:
    """The hosts that are open and may stay so; None where none of those that are open has to go."""
    if state is None or not state.ours:
        return None
    old, new = state.content.splitlines(keepends=True), set(wanted.splitlines(keepends=True))
    kept = [line for line in old if line in new]
    return None if len(kept) == len(old) else b"".join(kept)


def _load(planner: FilePlanner, observed: Observed, wishes: Iterable[FileWish], loaded: Remember) -> Change:
    written = [change for wish in wishes for change in planner.put(wish, Effect.LOOSEN)]
    if written:
        why = written[0].why
    else:
        why = sentence("it has other hosts") if observed.running else sentence("the proxy does not run")
    actions = (action for change in written for action in change.actions)
    return _change(HOSTS, Effect.LOOSEN, why, Forget(kind=NAME, key=_LOADED), *actions, _LOAD, loaded)


def _shut(planner: FilePlanner, fewer: FileWish, *loaded: Remember) -> Change:
    """Hosts go from the list, before anything opens, and the connections to them go along.

    The proxy is stopped first: where the list cannot be written nothing is let through, instead of too much.
    """
    written = planner.put(fewer, Effect.TIGHTEN)
    actions = (action for change in written for action in change.actions)
    why = sentence("it has hosts that the lab has taken from the list")
    forget = Forget(kind=NAME, key=_LOADED)
    return _change(HOSTS, Effect.TIGHTEN, why, _STOP, forget, *actions, _LOAD, *loaded)


def _leave(planner: FilePlanner, observed: Observed, owned: Owned) -> Plan:
    changes: list[Change] = []
    if _LOADED in owned:
        changes.append(_change(HOSTS, Effect.LOOSEN, _OUT, _STOP, Forget(kind=NAME, key=_LOADED)))
    for path in (HOSTS, SETTINGS):
        changes += planner.release(path, Effect.LOOSEN, _OUT)
    if _RULES in owned:
        drop: tuple[Action, ...] = (LoadRules(table=TABLE, rules=""),) if observed.rules is not None else ()
        changes.append(_change(TABLE, Effect.LOOSEN, _OUT, *drop, Forget(kind=NAME, key=_RULES)))
    return (*changes, *planner.tidy(()))


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
