"""`labctl doctor`: the server's own health, one sentence a check."""

import ctypes
import grp
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from controller import door_models as m
from controller.books import Books
from controller.core.assignment import conflicts
from controller.discovery import Discovery
from controller.failures import in_words
from controller.live import Live
from controller.settings import Settings
from controller.words import _, mark

LEAST_FREE = 0.05
LEAST_FREE_BYTES = 500 << 20
SOON = timedelta(days=30)
_TIME_ERROR = 5
"""TIME_ERROR of adjtimex(2): the kernel's clock is not synchronised."""


class Doctor:
    """Looks, changes nothing. Each check answers for itself: one that breaks does not hide the others."""

    def __init__(
        self,
        books: Books,
        settings: Settings,
        data: Path,
        *,
        discovery: Discovery,
        live: Live,
        findings: Callable[[], int],
    ) -> None:
        """`findings` counts the errors in the lab's files."""
        self._books = books
        self._settings = settings
        self._data = data
        self._discovery = discovery
        self._live = live
        self._findings = findings

    def checks(self) -> list[m.DoctorCheck]:
        """Every check, the server's first."""
        return [*self._server(), *self._certificates(), *self._lab()]

    def _server(self) -> Iterator[m.DoctorCheck]:
        usage = shutil.disk_usage(self._data)
        free = _("{free} MB of {total} MB free in {path}.").format(
            free=usage.free >> 20, total=usage.total >> 20, path=self._data
        )
        enough = usage.free >= LEAST_FREE_BYTES and usage.free >= usage.total * LEAST_FREE
        yield _check(
            mark("disk"), enough, free, _("Make room: without it nothing can be published or paired.")
        )
        synchronised = clock_synchronised()
        yield _check(
            mark("clock"),
            synchronised,
            _("The clock is synchronised.") if synchronised else _("The clock is not synchronised."),
            _("Install chrony or turn on systemd-timesyncd: PCs take the time from here."),
            at=None if synchronised else self._books.clock.now(),
        )
        problem = self._discovery.problem
        yield _check(
            mark("multicast"),
            not problem,
            _("Multicast does not work: {reason}.").format(reason=problem)
            if problem
            else _("Listening for PCs by mDNS."),
            _("Look at [network] interfaces in lab.toml; until then: labctl discover --add HOST"),
        )
        door = self._settings.door
        missing = [name for name in (door.technicians, door.operators) if not _group_exists(name)]
        yield _check(
            mark("groups"),
            not missing,
            _("There is no group {names} on this server.").format(names=", ".join(missing))
            if missing
            else _("The groups {t} and {o} are there.").format(t=door.technicians, o=door.operators),
            _("Make it: groupadd {name}").format(name=missing[0] if missing else ""),
        )

    def _certificates(self) -> Iterator[m.DoctorCheck]:
        now = self._books.clock.now()
        certificate = self._books.pki.own_certificate()
        own = certificate.not_after if certificate else None
        yield _check(
            mark("server certificate"),
            own is not None and own > now + SOON,
            _("The server's certificate ends on {day}.").format(day=f"{own:%Y-%m-%d}" if own else "?"),
            _("It renews itself at night; restart lab-controller to have it renewed now."),
        )
        yield _check(
            mark("lab CA"),
            self._books.pki.ca_until > now + 12 * SOON,
            _("The lab's CA ends on {day}.").format(day=f"{self._books.pki.ca_until:%Y-%m-%d}"),
            _("Plan a new lab CA: every PC must be paired anew."),
        )
        with self._books.database.read() as tx:
            newest = {one.name: one for one in self._books.store.certificates(tx) if one.revoked_at is None}
        ending = sorted(one.name.partition(".")[0] for one in newest.values() if one.not_after < now + SOON)
        yield _check(
            mark("station certificates"),
            not ending,
            _("The certificates of {names} end within a month.").format(names=", ".join(ending))
            if ending
            else _("No PC's certificate ends within a month."),
            _("Switch these PCs on: they renew by themselves."),
        )

    def _lab(self) -> Iterator[m.DoctorCheck]:
        noted = [view for view in self._live.view() if view.note]
        yield _check(
            mark("stations"),
            not noted,
            "; ".join(f"{view.id}: {in_words(view.note)}" for view in noted[:5] if view.note)
            if noted
            else _("Nothing hinders the connection to any PC."),
            _("See all: labctl status"),
        )
        with self._books.database.read() as tx:
            groups, assignments = self._books.store.groups(tx), self._books.store.assignments(tx)
        torn = [view.id for view in self._live.view() if conflicts(view.id, groups, assignments)]
        yield _check(
            mark("groups' profiles"),
            not torn,
            _("{names} are in groups with different profiles; the first group by name counts.").format(
                names=", ".join(torn)
            )
            if torn
            else _("No PC is in groups with different profiles."),
            _("Give such a PC its own: labctl profile assign PROFILE pc:ID"),
        )
        errors = self._findings()
        yield _check(
            mark("profiles"),
            errors == 0,
            _("{count} errors in the lab's files.").format(count=errors)
            if errors
            else _("The lab's files are right."),
            _("See them: labctl profile check"),
        )


def _check(name: str, ok: bool | None, message: str, hint: str, at: datetime | None = None) -> m.DoctorCheck:
    return m.DoctorCheck(name=name, ok=ok, message=message, hint="" if ok else hint, at=at)


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def clock_synchronised() -> bool | None:
    """What the kernel says of its clock, whichever daemon keeps it; None where it does not say."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = (ctypes.c_char * 512)()  # larger than struct timex on any Linux; modes 0 only asks
    state = libc.adjtimex(timex)
    return None if state < 0 else state != _TIME_ERROR
