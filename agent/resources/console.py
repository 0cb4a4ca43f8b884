"""No way to a text console: neither by Ctrl+Alt+F2 nor by Ctrl+Alt+Delete.

logind opens no terminals and reserves none, the units that would show a login
are masked, and the three keys do nothing, even in a burst. A technician comes
in by ssh, or gives the PC a profile that leaves the console alone.

A unit file without content is a masked one (systemd.unit(5)), so masks are files
as all others are. In force means: systemd has read them since they changed, and
no login is left on a terminal, which the control group of gettys tells.
"""

from agent.core.changes import Effect, Owned, Plan, Reader, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "console"
MASKED = tuple(
    f"/etc/systemd/system/{unit}" for unit in ("getty@.service", "autovt@.service", "ctrl-alt-del.target")
)
LOGIND = "/etc/systemd/logind.conf.d/90-lab.conf"
MANAGER = "/etc/systemd/system.conf.d/90-lab.conf"
FILES = (*MASKED, LOGIND, MANAGER)

_GETTYS = "/sys/fs/cgroup/system.slice/system-getty.slice"

_OUT = sentence("the lab no longer manages the console")
_UNREAD = sentence("systemd has not read it since it changed")
_OPEN = sentence("somebody can sign in on a text console")
_READ = (
    Run(argv=("systemctl", "daemon-reload")),
    # A restart would do as well, but takes the seat from a screen that is up.
    Run(argv=("systemctl", "kill", "--signal=HUP", "systemd-logind.service")),
)
_START = Run(argv=("systemctl", "--no-block", "start", "getty.target"))


class Observed(Message, frozen=True):
    """The files, and the gettys that run."""

    files: Found
    gettys: tuple[str, ...]


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """The masks, the settings, and what systemd runs nevertheless."""
    names = reader.names(_GETTYS) if wanted.console is not None else None
    return Observed(
        files=observe_files(FILES, owned, reader),
        gettys=tuple(name for name in names or () if name.endswith(".service")),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """Masks and settings, read by systemd and logind, and no getty left."""
    planner = FilePlanner(NAME, observed.files, owned)
    if wanted.console is None:
        return (
            *planner.release_and_tell(FILES, Effect.LOOSEN, (*_READ, _START), _OUT),
            *planner.tidy(()),
        )
    wishes = (
        *(FileWish(path=path, content=b"") for path in MASKED),
        FileWish(path=LOGIND, content=f"{HEAD}[Login]\nNAutoVTs=0\nReserveVT=0\n".encode()),
        FileWish(path=MANAGER, content=f"{HEAD}[Manager]\nCtrlAltDelBurstAction=none\n".encode()),
    )
    end = (Run(argv=("systemctl", "stop", *observed.gettys)),) if observed.gettys else ()
    return (
        *planner.put_and_tell(
            wishes,
            Effect.TIGHTEN,
            (*_READ, *end),
            _OPEN if observed.gettys else _UNREAD,
            in_force=not observed.gettys,
        ),
        *planner.tidy(FILES),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The files, and the control group in which a getty would appear."""
    return () if wanted.console is None else (*FILES, f"{_GETTYS}/")
