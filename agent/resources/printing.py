"""Printing (CUPS): the profile's printers, for people at this PC only, and nothing kept of what was printed.

cupsd forgets a job with its title when it is done, writes no list of pages,
looks for no printers by itself and listens to its socket only. Printers are those
that speak IPP as everybody's do ("driverless"): cupsd asks each what it can.

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

_KEY = "printer:"
_ENTRY = re.compile(r"^<(Default)?Printer (\S+)>\n(.*?)^</(?:Default)?Printer>", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"^DeviceURI (\S+)$", re.MULTILINE)

_OUT = sentence("the lab no longer manages printing")
_UNREAD = sentence("cupsd has not read its settings since they changed")
_STOPPED = sentence("cupsd takes no jobs")
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
<Policy default>
  JobPrivateAccess default
  JobPrivateValues all
  SubscriptionPrivateAccess default
  SubscriptionPrivateValues all
  <Limit Create-Job Print-Job Print-URI Validate-Job>
    Order deny,allow
  </Limit>
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
</Policy>
"""


class Known(Message, frozen=True):
    """A printer as cupsd has it."""

    uri: str
    default: bool
    capable: bool


class Observed(Message, frozen=True):
    """cupsd's files and the printers in them; whether the PC has CUPS, and whether its door is there."""

    files: Found
    printers: dict[str, Known]
    installed: bool
    open: bool


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What cupsd last wrote of its printers."""
    files = observe_files((SETTINGS, *WRITTEN), owned, reader)
    installed = reader.is_directory(_FOLDER)
    if wanted.printing is None and not owned:
        return Observed(files=files, printers={}, installed=installed, open=True)
    state = reader.file(PRINTERS)
    text = state.content.decode(errors="replace") if state is not None else ""
    able = reader.names(CAPABILITIES) or ()
    return Observed(
        files=files,
        printers=_printers(text, able),
        installed=installed,
        open=posixpath.basename(_DOOR) in (reader.names(posixpath.dirname(_DOOR)) or ()),
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
            (FileWish(path=SETTINGS, content=_TEXT.encode()),),
            Effect.TIGHTEN,
            _RESTART,
            _UNREAD if observed.open else _STOPPED,
            in_force=observed.open,
        )
    return (
        *settings,
        *gone,
        *_come(section, planner, observed, owned),
        *planner.tidy((SETTINGS,)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """cupsd's files, and its door."""
    return () if wanted.printing is None else (SETTINGS, PRINTERS, _DOOR)


def _come(section: Printing, planner: FilePlanner, observed: Observed, owned: Owned) -> Plan:
    changes: list[Change] = []
    for number, printer in enumerate(section.printers):
        known = observed.printers.get(printer.name)
        default = number == 0 and not (known is not None and known.default)
        why = _wrong(printer, known)
        if why is None and not default:
            continue
        before: list[Action] = []
        if _KEY + printer.name not in owned:
            before.append(Remember(kind=NAME, key=_KEY + printer.name, value=printer.uri.encode()))
        for path in WRITTEN:
            before += planner.remember(path, observed.files.files.get(path))
        add = ("lpadmin", "-p", printer.name, "-E", "-v", printer.uri, "-m", "everywhere")
        run = [Run(argv=add)] if why is not None else []
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


def _wrong(printer: Printer, known: Known | None) -> Sentence | None:
    if known is None:
        return sentence("cupsd does not have this printer")
    if known.uri != printer.uri:
        return sentence("it is at another address")
    if not known.capable:
        return sentence("the printer at {address} has not told what it can: is it on?", address=printer.uri)
    return None


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
        found[name] = Known(uri=uri, default=bool(default), capable=f"{name}.ppd" in able)
    return found
