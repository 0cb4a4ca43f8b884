"""What `labctl init` does: the lab's keys, database and settings. Again and again does no harm."""

import grp
import os
import pwd
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.files import write_file
from controller.paths import Paths
from controller.pki import PkiError, make_lab_keys
from controller.settings import (
    Language,
    Settings,
    SettingsError,
    load_settings,
    parse_settings,
    render_settings,
)
from controller.store.database import StoreError, open_database
from controller.words import _

SERVICE_USER = "lab-controller"
FOLDERS = ("profiles", "services", "layers")


class InitError(Exception):
    """The lab cannot be made; a sentence a line says why. Run again, init goes on from what was made."""


@dataclass(frozen=True)
class Made:
    """What init came to. `made`: files and folders that were not there before; none: all was there."""

    settings: Settings
    made: tuple[Path, ...]


def init_lab(paths: Paths, lab: str, name: str, comune: str, now: datetime) -> Made:
    """Make the lab below `paths`, or what is missing of it. Keys and settings that are there stay.

    Raises InitError: wrong values, a lab of another id there already, no right to write.
    """
    made: list[Path] = []
    try:
        settings = _settings(paths, lab, name, comune, made)
        data = paths.below(settings.data.directory)
        _folders(paths, data, settings, made)
        made += [data / "pki" / file for file in make_lab_keys(data / "pki", settings.lab.id, now)]
        if not settings.data.database and not (data / DATABASE).exists():
            made.append(data / DATABASE)
        open_database(database_url(settings, data)).close()
        if paths.root == Path("/") and os.geteuid() == 0:
            _hand_over(data)
    except PermissionError as error:
        text = _("{file} may not be written; try: sudo labctl init")
        raise InitError(text.format(file=error.filename)) from None
    except (SettingsError, PkiError, StoreError) as error:
        raise InitError(str(error)) from None
    except OSError as error:
        raise InitError(f"{error.filename or paths.etc}: {error.strerror}") from None
    return Made(settings, tuple(made))


DATABASE = "lab.sqlite"


def database_url(settings: Settings, data: Path) -> str:
    """Where the store is, as SQLAlchemy wants it."""
    return settings.data.database or f"sqlite:///{data / DATABASE}"


def _settings(paths: Paths, lab: str, name: str, comune: str, made: list[Path]) -> Settings:
    if paths.settings.exists():
        settings = load_settings(paths.settings)
        if lab and lab != settings.lab.id:
            text = _("{file} is of the lab {id} already. A lab keeps its id for good: certificates carry it.")
            raise InitError(text.format(file=paths.settings, id=settings.lab.id))
        return settings
    text = render_settings(lab, name or lab, comune, "/var/lib/lab-controller", language=_language())
    settings = parse_settings(text, str(paths.settings))  # before anything is written
    paths.settings.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(paths.settings, text.encode(), 0o644)
    made.append(paths.settings)
    return settings


def _language() -> Language:
    """The language of whoever makes the lab, as the environment says (LANGUAGE before LC_ALL before LANG)."""
    said = next(
        filter(None, (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))), ""
    )
    return "it" if said.startswith("it") else "en"


def _folders(paths: Paths, data: Path, settings: Settings, made: list[Path]) -> None:
    if not data.is_dir():
        data.mkdir(mode=0o700, parents=True)
        made.append(data)
    for folder in FOLDERS:
        place = paths.etc / folder
        if place.is_dir():
            continue
        place.mkdir(mode=0o755)
        made.append(place)
        if paths.root == Path("/") and os.geteuid() == 0:
            _share(place, settings.door.technicians)


def _share(folder: Path, group: str) -> None:
    """Technicians write here, and the service does when it updates a bundle. Without the group: root only."""
    try:
        gid = grp.getgrnam(group).gr_gid
        uid = pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        return
    os.chown(folder, uid, gid)
    folder.chmod(0o2775)


def _hand_over(data: Path) -> None:
    """What root has made is the service's. Without that user (nothing installed yet) it stays root's."""
    try:
        pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return
    for place in (data, *data.rglob("*")):
        shutil.chown(place, SERVICE_USER, SERVICE_USER)
