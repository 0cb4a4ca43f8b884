"""`lab-controller`: the composition root of the lab's server."""

import argparse
import asyncio
import fcntl
import gettext
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.version import VERSION
from controller.books import Books
from controller.clock import Clock
from controller.discovery import Discovery, Hint
from controller.doctor import Doctor
from controller.door import make_app, make_server
from controller.door_callers import Door
from controller.enrolment import Enrolment
from controller.household import Household
from controller.init import database_url
from controller.live import Live
from controller.notify import notify, watchdog_every_s
from controller.paths import Paths
from controller.pki import Pki, PkiError
from controller.publishing import Publishing
from controller.scheduler import Scheduler
from controller.services import Parts, Services
from controller.settings import Settings, SettingsError, load_settings
from controller.store.database import StoreError, open_database
from controller.store.repositories import LabStore
from controller.words import _

log = logging.getLogger("lab-controller")

LAZY_S = 120.0
"""An exchange that has done nothing for so long hangs: its longest round with all candidates takes less."""


@dataclass(frozen=True)
class Controller:
    """The running parts that must be started and stopped."""

    books: Books
    discovery: Discovery
    household: Household
    scheduler: Scheduler
    services: Services
    door: Door


def build(settings: Settings, paths: Paths, clock: Clock) -> Controller:
    """Wire the parts. Raises PkiError and StoreError where the lab was not made or cannot be opened."""
    data = paths.below(settings.data.directory)
    lab = settings.lab.id
    pki = Pki(data / "pki", lab)
    books = Books(lab, open_database(database_url(settings, data)), LabStore(lab), pki, clock)
    live = Live(clock, settings.timings)
    publishing = Publishing(books, paths.etc, settings.time.servers)

    def found(hint: Hint) -> None:
        household.sync.wake(hint.id)

    def ours(station: str) -> bool:
        return live.one(station) is not None

    discovery = Discovery(settings.network.interfaces, clock, found, ours)
    household = Household(books, publishing, discovery, live, hold_s=settings.network.hold_s)
    enrolment = Enrolment(books, discovery, household.sync.reaper)

    def errors() -> int:
        return sum(1 for one in publishing.library().check() if one.severity == "error")

    doctor = Doctor(books, settings, data, discovery=discovery, live=live, findings=errors)
    services = Services(Parts(settings, books, live, discovery, publishing, enrolment, household, doctor))
    scheduler = Scheduler(nightly=household.nightly, save=household.save_reports)
    door = Door(paths.door, settings.door.technicians, settings.door.operators)
    return Controller(books, discovery, household, scheduler, services, door)


async def serve(controller: Controller) -> None:
    """Run until SIGTERM or SIGINT; the door is the last to open and the first to close."""
    path = controller.door.socket
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    app = make_app(controller.services, controller.door)
    server = make_server(app, controller.door, lambda: notify("READY=1"))
    controller.discovery.start()
    controller.household.start_all()
    controller.scheduler.start()
    watchdog = asyncio.create_task(_watchdog(controller))
    try:
        await server.serve()
    finally:
        notify("STOPPING=1")
        watchdog.cancel()
        await asyncio.to_thread(_stop, controller)
        path.unlink(missing_ok=True)


async def _watchdog(controller: Controller) -> None:
    """Tell systemd that this gets on: the loop turns, the store answers and no exchange hangs."""
    every = watchdog_every_s()
    while every is not None:
        await asyncio.to_thread(controller.services.status)
        if controller.household.sync.oldest_beat_s() < LAZY_S:
            notify("WATCHDOG=1")
        else:
            log.error("an exchange hangs; systemd will restart this service")
        await asyncio.sleep(every)


def _stop(controller: Controller) -> None:
    controller.scheduler.stop()
    controller.discovery.stop()
    controller.household.sync.close()
    controller.household.save_reports()
    controller.books.database.close()


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the lab's lock: two controllers over one lab would undo each other's work."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = _("another lab-controller runs with {folder}; stop it first")
            raise StartError(text.format(folder=data)) from None
        yield


class StartError(Exception):
    """The controller cannot start; a sentence says why."""


def main(argv: list[str] | None = None) -> int:
    """Run the controller; the exit code: 0 stopped as asked, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="lab-controller", description="The controller of a computer lab.")
    parser.add_argument("--version", action="version", version=f"lab-controller {VERSION}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="PREFIX", help="keep all files below PREFIX"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings; default /etc/lab-controller/lab.toml"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    arguments = parser.parse_args(argv)
    paths = Paths(arguments.root.resolve(), arguments.config)
    _speak(verbose=arguments.verbose)
    try:
        settings = load_settings(paths.settings)
        os.environ["LANGUAGE"] = settings.lab.language  # what gettext looks at first
        data = paths.below(settings.data.directory)
        with alone(data):
            _run(build(settings, paths, Clock()))
    except (SettingsError, PkiError, StoreError, StartError) as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"lab-controller: {line}\n")
        return 1
    except PermissionError as error:
        text = _("{file} is not for this user; as root: systemctl start lab-controller")
        sys.stderr.write(f"lab-controller: {text.format(file=error.filename or paths.run)}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"lab-controller: {error.filename or paths.run}: {error.strerror}\n")
        return 1
    return 0


def _run(controller: Controller) -> None:
    # uvicorn raises the signal once more when it has stopped; the rest of us has yet to stop then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    asyncio.run(serve(controller))


def _speak(*, verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",  # the journal adds the time
        stream=sys.stderr,
    )
    for name in ("alembic", "apscheduler", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns, with a traceback, of each odd header: the journal is not a peer's to fill.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    gettext.bindtextdomain("labctl", str(Path(__file__).parent / "cli/locale"))


if __name__ == "__main__":
    sys.exit(main())
