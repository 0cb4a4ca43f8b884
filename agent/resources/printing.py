"""Printing (CUPS): the profile's printers, for people at this PC only, and nothing kept of what was printed.

cupsd forgets a job with its title when it is done, writes no list of pages,
looks for no printers by itself and listens to its socket only. Printers are those
that speak IPP as everybody's do ("driverless"): cupsd asks each what it can.

Where pages are counted, each of our printers is reached through the gate
(agent.helpers.print_gate, docs/decisions/0056): its address has the mark of the gate's, and
a policy of its own lets people print on it. On every other queue, and on ours while
cupsd still asks it what it can, only root prints.

In force means: cupsd has read its file since it changed, and what it writes of
its printers (at once, as we have it) names ours, each with what it can.
"""

import posixpath
import re

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Printer, Printing, Resources
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "printing"
SETTINGS = "/etc/cups/cupsd.conf"
PRINTERS = "/etc/cups/printers.conf"
WRITTEN = (PRINTERS, f"{PRINTERS}.O", "/etc/cups/classes.conf", "/etc/cups/classes.conf.O")
"""What cupsd writes when printers come and go."""
_FOLDER = "/etc/cups"
_DOOR = "/run/cups/cups.sock"
CAPABILITIES = "/etc/cups/ppd"

COUNTED = "counted"
"""The policy of printers behind the gate, and the mark in front of their addresses."""
GATES = ("/usr/lib/cups/backend/counted-ipp", "/usr/lib/cups/backend/counted-ipps")
"""Installed with the agent: cupsd runs nothing from elsewhere."""
QPDF = "/usr/bin/qpdf"
_PORT = 631

_KEY = "printer:"
_ENTRY = re.compile(r"^<(Default)?Printer (\S+)>\n(.*?)^</(?:Default)?Printer>", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"^DeviceURI (\S+)$", re.MULTILINE)
_POLICY = re.compile(r"^OpPolicy (\S+)$", re.MULTILINE)
_PARTS = re.compile(r"(ipps?)://([^/]*?)(:[0-9]+)?(/.*)?")

_OUT = sentence("the lab no longer manages printing")
_UNREAD = sentence("cupsd has not read its settings since they changed")
_STOPPED = sentence("cupsd takes no jobs")
_NOT_THERE = sentence("cupsd does not have this printer")
_ELSEWHERE = sentence("it is at another address")
_NOT_COUNTED = sentence("its pages are not counted")
_UNCOUNTED = sentence("the lab no longer counts pages")
_OTHER_POLICY = sentence("another policy of cupsd's says who may print on it")
_NO_GATE = sentence(
    "this part of the agent is not installed, so no page can be counted and nobody prints:"
    " copy it from systemd/cups-backend"
)
_NO_QPDF = sentence(
    "it is not installed, so no page can be counted and nobody prints: on the PC, apt install qpdf"
)
_LACKS = {**dict.fromkeys(GATES, _NO_GATE), QPDF: _NO_QPDF}
# Its socket goes and comes with it. A job that is being printed is printed again.
# Debian lets a unit start five times in ten seconds; two publications in a row are more, and no fault of it.
_RESTART = (
    Run(argv=("systemctl", "reset-failed", "cups.*")),
    Run(argv=("systemctl", "restart", "cups.service")),
)

_TEXT = f"""{HEAD}LogLevel error
AccessLogLevel none
PageLogFormat
MaxLogSize 64k
PreserveJobHistory No
PreserveJobFiles No
Listen /run/cups/cups.sock
Browsing No
DefaultShared No
WebInterface No
DirtyCleanInterval 0
IdleExitTimeout 60
DefaultAuthType Basic
<Location />
  Order allow,deny
</Location>
<Location /admin/conf>
  AuthType Default
  Require user @SYSTEM
  Order allow,deny
</Location>
<Location /admin/log>
  AuthType Default
  Require user @SYSTEM
  Order allow,deny
</Location>
"""
_PRIVATE = """\
  JobPrivateAccess default
  JobPrivateValues all
  SubscriptionPrivateAccess default
  SubscriptionPrivateValues all
"""
_OPEN = """\
  <Limit Create-Job Print-Job Print-URI Validate-Job>
    Order deny,allow
  </Limit>
"""
_SHUT = """\
  <Limit Create-Job Print-Job Print-URI Validate-Job>
    AuthType Default
    Require user @SYSTEM
    Order deny,allow
  </Limit>
"""
_REST = """\
  <Limit Send-Document Send-URI Cancel-Job Cancel-My-Jobs Close-Job>
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit Get-Printer-Attributes Get-Jobs Get-Job-Attributes CUPS-Get-Default CUPS-Get-Printers CUPS-Get-PPD>
    Order deny,allow
  </Limit>
  <Limit Cancel-Jobs CUPS-Get-Document>
    AuthType Default
    Require user @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    AuthType Default
    Require user @SYSTEM
    Order deny,allow
  </Limit>
"""


def settings_text(*, counted: bool) -> str:
    """cupsd.conf. Where pages are counted people print by that policy only."""
    policies = {"default": _SHUT, COUNTED: _OPEN} if counted else {"default": _OPEN}
    texts = (f"<Policy {name}>\n{_PRIVATE}{who}{_REST}</Policy>\n" for name, who in policies.items())
    return _TEXT + "".join(texts)


class Known(Message, frozen=True):
    """A printer as cupsd has it."""

    uri: str
    default: bool
    capable: bool
    policy: str = "default"


class Observed(Message, frozen=True):
    """cupsd's files and the printers in them; whether the PC has CUPS, and whether its door is there."""

    files: Found
    printers: dict[str, Known]
    installed: bool
    open: bool
    lacks: tuple[str, ...] = ()
    """Programs that counting pages takes and that are not there."""


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What cupsd last wrote of its printers."""
    files = observe_files((SETTINGS, *WRITTEN), owned, reader)
    installed = reader.is_directory(_FOLDER)
    if wanted.printing is None and not owned:
        return Observed(files=files, printers={}, installed=installed, open=True)
    state = reader.file(PRINTERS)
    text = state.content.decode(errors="replace") if state is not None else ""
    able = reader.names(CAPABILITIES) or ()
    counts = wanted.printing is not None and wanted.printing.pages is not None
    return Observed(
        files=files,
        printers=_printers(text, able),
        installed=installed,
        open=posixpath.basename(_DOOR) in (reader.names(posixpath.dirname(_DOOR)) or ()),
        lacks=tuple(path for path in (*GATES, QPDF) if counts and installed and not reader.program(path)),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """cupsd's settings first, then printers that went, then printers that come; the first is the default."""
    section = wanted.printing
    planner = FilePlanner(NAME, observed.files, owned)
    printers = section.printers if section is not None else ()
    gone = _gone(printers, observed, owned)
    if section is None:
        return (
            *gone,
            *planner.release_and_tell((SETTINGS,), Effect.LOOSEN, _RESTART, _OUT),
            *_swept(planner, observed, owned),
            *planner.tidy(()),
        )
    settings: Plan = ()
    if observed.installed:  # where there is no CUPS there is nothing to keep from it
        settings = planner.put_and_tell(
            (FileWish(path=SETTINGS, content=settings_text(counted=section.pages is not None).encode()),),
            Effect.TIGHTEN,
            _RESTART,
            _UNREAD if observed.open else _STOPPED,
            in_force=observed.open,
        )
    return (
        *settings,
        *gone,
        *(_change(path, _LACKS[path]) for path in observed.lacks),
        *_come(section, planner, observed, owned),
        *planner.tidy((SETTINGS,)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """cupsd's files, its door, and what stands before a printer whose pages are counted."""
    if wanted.printing is None:
        return ()
    return (SETTINGS, PRINTERS, _DOOR, *(GATES if wanted.printing.pages is not None else ()))


def _come(section: Printing, planner: FilePlanner, observed: Observed, owned: Owned) -> Plan:
    changes: list[Change] = []
    for number, printer in enumerate(section.printers):
        known = observed.printers.get(printer.name)
        default = number == 0 and not (known is not None and known.default)
        why, put = _put(printer, known, counted=section.pages is not None)
        if observed.lacks and why is _NOT_COUNTED:
            continue  # cupsd takes no address whose program is not there
        if why is None and not default:
            continue
        before: list[Action] = []
        if _KEY + printer.name not in owned:
            before.append(Remember(kind=NAME, key=_KEY + printer.name, value=printer.uri.encode()))
        for path in WRITTEN:
            before += planner.remember(path, observed.files.files.get(path))
        run = [Run(argv=put)] if why is not None else []
        run += [Run(argv=("lpadmin", "-d", printer.name))] if default else []
        why = why or sentence("it is not the printer that is offered first")
        changes.append(_change(printer.name, why, *before, *run))
    return tuple(changes)


def _swept(planner: FilePlanner, observed: Observed, owned: Owned) -> Plan:
    """What cupsd wrote of our printers, when none is left and there was nothing before."""
    if any(key.startswith(_KEY) for key in owned):
        return ()  # they go first
    changes: list[Change] = []
    for path in WRITTEN:
        if path in owned and observed.printers:  # somebody else's: cupsd keeps them there
            changes.append(_change(path, _OUT, Forget(kind=NAME, key=path)))
        elif path in owned:
            changes += planner.release(path, Effect.LOOSEN, _OUT)
    return tuple(changes)


def _put(printer: Printer, known: Known | None, *, counted: bool) -> tuple[Sentence | None, tuple[str, ...]]:
    """Why a printer is not as it shall be (None: it is), and what brings it a step nearer.

    cupsd can ask a printer what it can at the printer's own address only, so the gate's comes second.
    """
    put = ("lpadmin", "-p", printer.name)
    gate = _through_the_gate(printer.uri)
    here = (printer.uri, gate) if counted else (printer.uri,)
    policy = ("-o", "printer-op-policy=default")
    ask = (*put, "-E", "-v", printer.uri, "-m", "everywhere")
    if known is None:
        return _NOT_THERE, ask
    shut = (*ask, *policy) if known.policy != "default" else ask
    if not counted and known.uri == gate and known.capable:
        return _UNCOUNTED, (*put, "-v", printer.uri, *policy)
    if known.uri not in here:
        return _ELSEWHERE, shut
    if not known.capable:
        off = sentence("the printer at {address} has not told what it can: is it on?", address=printer.uri)
        return off, shut
    if counted and (known.uri, known.policy) != (gate, COUNTED):
        return _NOT_COUNTED, (*put, "-v", gate, "-o", f"printer-op-policy={COUNTED}")
    if not counted and known.policy != "default":
        return _OTHER_POLICY, (*put, *policy)
    return None, ()


def _through_the_gate(uri: str) -> str:
    """The same address for the gate, with its port: cupsd knows the usual one of its own schemes only."""
    parts = _PARTS.fullmatch(uri)
    if parts is None:
        return f"{COUNTED}-{uri}"
    scheme, host, port, path = parts.groups()
    return f"{COUNTED}-{scheme}://{host}{port or f':{_PORT}'}{path or '/'}"


def _gone(printers: tuple[Printer, ...], observed: Observed, owned: Owned) -> Plan:
    """Printers that we added and that are no longer wanted; those of others are not ours to take."""
    names = {printer.name for printer in printers}
    ours = (key.removeprefix(_KEY) for key in sorted(owned) if key.startswith(_KEY))
    changes: list[Change] = []
    for name in ours:
        if name not in names:
            remove = (Run(argv=("lpadmin", "-x", name)),) if name in observed.printers else ()
            forget = Forget(kind=NAME, key=_KEY + name)
            changes.append(_change(name, sentence("the lab no longer has this printer"), *remove, forget))
    return tuple(changes)


def _change(subject: str, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=Effect.LOOSEN, why=why, actions=actions)


def _printers(text: str, able: tuple[str, ...]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for default, name, body in _ENTRY.findall(text):
        address = _ADDRESS.search(body)
        uri = address[1] if address is not None else ""
        policy = _POLICY.search(body)
        found[name] = Known(
            uri=uri,
            default=bool(default),
            capable=f"{name}.ppd" in able,
            policy=policy[1] if policy is not None else "default",
        )
    return found
