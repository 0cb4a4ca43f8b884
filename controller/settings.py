"""The lab's settings: one TOML file that `labctl init` writes and a person can read."""

import re
import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contract.desired import HostName
from contract.identity import is_label
from controller.core.fleet import Timings
from controller.words import _


class SettingsError(Exception):
    """The settings file is missing or wrong; the text has a sentence a line."""


def _lab_id(text: str) -> str:
    if not is_label(text):
        raise ValueError(_("write 1 to 32 of a-z, 0-9 and inner hyphens, for example fontana"))
    return text


def _host(text: str) -> str:
    if not re.fullmatch(_HOST_PATTERN, text):
        sentence = _('"{text}" is no host name or address; write for example "ntp.example.org"')
        raise ValueError(sentence.format(text=text))
    return text


def _address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        sentence = _('"{text}" is no address; write for example "192.168.10.1"')
        raise ValueError(sentence.format(text=text)) from None
    return text


_HOST_PATTERN = next(meta.pattern for meta in get_args(HostName)[1:] if meta.pattern)
_Group = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]


Language = Literal["it", "en"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LabTable(_Table):
    """[lab]: who we are."""

    id: Annotated[str, AfterValidator(_lab_id)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    comune: Annotated[str, StringConstraints(max_length=100)] = ""
    language: Language = "it"


class DataTable(_Table):
    """[data]: where the controller keeps what it must not lose."""

    directory: Annotated[str, StringConstraints(pattern=r"^/.+")] = "/var/lib/lab-controller"
    database: str = ""


class DoorTable(_Table):
    """[door]: which groups labctl answers to."""

    technicians: _Group = "lab-technicians"
    operators: _Group = "lab-operators"


class NetworkTable(_Table):
    """[network]: how stations are found and listened to."""

    interfaces: tuple[Annotated[str, AfterValidator(_address)], ...] = ()
    hold_s: Annotated[float, Field(ge=1, le=12)] = 12.0


class TimeTable(_Table):
    """[time]: where stations get the time when their profile names no server."""

    servers: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(max_length=8)] = ()


class SpidTable(_Table):
    """[spid]: which certificate the federation's list of providers must be signed with."""

    fingerprint: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f: ]{64,95})?$")] = ""


class Settings(_Table):
    """The whole file."""

    lab: LabTable
    data: DataTable = DataTable()
    door: DoorTable = DoorTable()
    network: NetworkTable = NetworkTable()
    time: TimeTable = TimeTable()
    spid: SpidTable = SpidTable()

    @property
    def timings(self) -> Timings:
        """When a silent station is stale and offline; it follows from the hold."""
        return Timings.of_hold(self.network.hold_s)


TEMPLATE = """\
# Settings of this lab's controller.
# After a change:  systemctl restart lab-controller
# To see whether it is right:  labctl doctor

[lab]
# Names the lab in its certificates: it cannot be changed once PCs are paired.
id = {id}
# What people read.
name = {name}
comune = {comune}
# The language of the log, and of answers to whoever asks in neither: it or en.
language = {language}

[data]
# Keys, certificates and the SQLite database. Back it up, and keep the copy as safe as a key.
directory = {directory}
# Empty: SQLite in the directory above. Several labs may share a PostgreSQL:
# database = "postgresql+psycopg://lab@/labs?host=/run/postgresql"
database = {database}

[door]
# Unix groups whose members may use labctl: everything, or only the day's work.
technicians = "lab-technicians"
operators = "lab-operators"

[network]
# Addresses of this server on which PCs are looked for by mDNS; empty is every network card.
interfaces = []
# Seconds a PC may hold its answer while there is no news (1 to 12). A PC that
# is silent is "stale" after 1.5 times that, and "offline" after 2.3 times.
hold_s = 12

[time]
# NTP servers for PCs whose profile names none; this server first, if it runs one.
# servers = ["192.168.10.1", "ntp1.inrim.it"]
servers = []

[spid]
# SHA-256 of the certificate that the SPID federation signs its list of providers with
# (docs/labctl.md says how to get it): labctl services update takes no other list.
fingerprint = ""
"""


@dataclass(frozen=True)
class _Place:
    """A line of the file for each key, to point at in a message."""

    lines: dict[tuple[str, ...], int]

    @classmethod
    def of(cls, text: str) -> "_Place":
        table: tuple[str, ...] = ()
        lines: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
                table = tuple(header[1].split("."))
                lines[table] = number
            elif key := re.match(r"\s*([\w-]+)\s*=", line):
                lines[(*table, key[1])] = number
        return cls(lines)

    def line(self, loc: tuple[str, ...]) -> int | None:
        return next((self.lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in self.lines), None)


def load_settings(path: Path) -> Settings:
    """Read the file. Raises SettingsError with every mistake in it, a sentence a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        sentence = _("There is no {file}. Make the lab first: labctl init")
        raise SettingsError(sentence.format(file=path)) from None
    except (OSError, UnicodeDecodeError) as error:
        sentence = _("{file} cannot be read: {reason}.")
        raise SettingsError(sentence.format(file=path, reason=error)) from None
    return parse_settings(text, str(path))


def parse_settings(text: str, name: str) -> Settings:
    """The settings in a file's text; `name` is what messages call the file."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_("{file} is not TOML: {reason}").format(file=name, reason=error)) from None
    try:
        return Settings.model_validate(_tuples(table))
    except ValidationError as error:
        place = _Place.of(text)
        raise SettingsError("\n".join(_sentence(name, place, dict(one)) for one in error.errors())) from None


def _tuples(value: Any) -> Any:
    """TOML arrays as tuples: strict validation takes no lists for them."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _sentence(name: str, place: _Place, error: dict[str, Any]) -> str:
    loc = tuple(str(part) for part in error["loc"] if not isinstance(part, int))
    key = ".".join(loc)
    line = place.line(loc)
    where = f"{name}:{line}" if line else name
    match error["type"]:
        case "missing":
            what = _("is missing; write it as in the example that labctl init makes")
        case "extra_forbidden":
            what = _("is not a setting; remove the line, or look for a misspelling")
        case "value_error":
            what = str(error["msg"]).removeprefix("Value error, ")
        case _:
            reason = f"{error['msg'][:1].lower()}{error['msg'][1:]}"
            what = _("{reason}; it is {value}").format(reason=reason, value=repr(error["input"]))
    return f"{where}: {key}: {what}."


def render_settings(id: str, name: str, comune: str, directory: str, *, language: Language = "it") -> str:
    """The file that `labctl init` writes, comments and all."""
    values = {
        "id": id,
        "name": name,
        "comune": comune,
        "language": language,
        "directory": directory,
        "database": "",
    }
    return TEMPLATE.format(**{key: _toml_string(value) for key, value in values.items()})


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
