"""What an administrator may set on a PC, and where the agent keeps its things.

`agent.toml` is optional and so is each of its keys: a PC with a usable host name
needs none. Everything that is wrong with it is said at once.
"""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from contract.identity import DEFAULT_PORT, is_label

_user_name = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")
_interface_name = re.compile(r"^[^\s/]{1,45}$")  # a card's name (15 characters) or an address (up to 45)


class Settings(msgspec.Struct, frozen=True):
    """The agent's own settings; what the PC shall *be* comes from the lab instead."""

    station: str
    """The id under which the lab knows this PC."""
    port: int = DEFAULT_PORT
    """TCP port of the front; 0 lets the kernel choose (tests)."""
    interfaces: tuple[str, ...] = ()
    """Cards (`enp3s0`) or addresses (`10.0.0.7`) to listen and announce on; empty is all."""
    announce: bool = True
    """Whether to announce by mDNS."""
    kiosk_user: str = "kiosk"
    """The account that citizens' sessions run under."""
    front_user: str = "lab-agent"
    """The account that the front runs under."""


class Paths(msgspec.Struct, frozen=True):
    """Every path of the agent below `root` (`/` on a PC, a prefix in tests and in a rootless lab)."""

    root: Path = Path("/")

    @property
    def etc_agent(self) -> Path:
        """The administrator's folder."""
        return self.root / "etc/lab-agent"

    @property
    def settings_file(self) -> Path:
        """agent.toml, which need not exist."""
        return self.etc_agent / "agent.toml"

    @property
    def enforcer_state(self) -> Path:
        """The enforcer's own folder: journal and trust."""
        return self.root / "var/lib/lab-agent/enforcer"

    @property
    def front_state(self) -> Path:
        """The front's own folder: certificate, CA and revocation list."""
        return self.root / "var/lib/lab-agent/front"

    @property
    def identity_file(self) -> Path:
        """The station's key and certificate in one PEM file, so that no crash parts them."""
        return self.front_state / "identity.pem"

    @property
    def ca_file(self) -> Path:
        """The lab's CA certificate (PEM)."""
        return self.front_state / "ca.pem"

    @property
    def revocations_file(self) -> Path:
        """The lab's revocation list (PEM), as last sent by the controller."""
        return self.front_state / "revocations.pem"

    @property
    def pending_key_file(self) -> Path:
        """The key of a signing request that waits for its certificate (PEM)."""
        return self.front_state / "pending.pem"

    @property
    def run(self) -> Path:
        """What does not outlive a reboot."""
        return self.root / "run/lab-agent"

    @property
    def socket(self) -> Path:
        """The front's door to the enforcer."""
        return self.run / "enforcer.sock"

    @property
    def citizen_socket(self) -> Path:
        """The session bar's door to the enforcer."""
        return self.run / "citizen.sock"

    @property
    def print_socket(self) -> Path:
        """The door for the gate before the printer."""
        return self.run / "print.sock"

    @property
    def code_file(self) -> Path:
        """The pairing code and when it ends, while unpaired."""
        return self.run / "code"


class SettingsError(ValueError):
    """agent.toml cannot be used; `problems` has one sentence for each thing that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(paths: Paths, host_name: str | None = None) -> Settings:
    """The settings in `paths.settings_file`, with defaults for what it leaves out.

    `host_name` stands in for the machine's own as the default station id.
    Raises SettingsError, with everything that is wrong at once.
    """
    file = paths.settings_file
    try:
        table = _table(file.read_bytes().decode())
    except FileNotFoundError:
        table = {}
    except OSError as error:
        raise SettingsError((f"{file} cannot be read: {error.strerror}.",)) from None
    except UnicodeDecodeError:
        raise SettingsError((f"{file} is not UTF-8 text; save it as UTF-8.",)) from None
    except _NotToml as error:
        raise SettingsError((f"{file} is not TOML: {error}.",)) from None
    default_station = (host_name or socket.gethostname()).split(".")[0].lower()
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        check = _CHECKS.get(key)
        if check is None:
            problems.append(f"{file}: there is no setting {key!r}; the settings are {', '.join(_CHECKS)}.")
            continue
        wrong = check(value)
        if wrong:
            problems.append(f"{file}: {key} is {value!r}, but {wrong}.")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    if "station" not in table:
        values["station"] = default_station
        if not is_label(default_station):
            problems.append(
                f"The host name {default_station!r} cannot be a station id; "
                f'write station = "pc-03" (or another id of {_LABEL_RULE}) in {file}.'
            )
    if problems:
        raise SettingsError(tuple(problems))
    return Settings(**values)


class _NotToml(Exception):
    """tomllib's words on what is wrong."""


def _table(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  # most PCs need no settings, and then both halves do without a parser

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _NotToml(error) from None


_LABEL_RULE = "1 to 32 of a-z, 0-9 and inner hyphens"


def _station(value: object) -> str:
    return "" if isinstance(value, str) and is_label(value) else f"a station id is text of {_LABEL_RULE}"


def _port(value: object) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65535
    return "" if good else "a port is a whole number from 1 to 65535 (0 lets the system choose)"


def _interfaces(value: object) -> str:
    good = isinstance(value, list) and all(
        isinstance(name, str) and _interface_name.fullmatch(name) is not None for name in value
    )
    return "" if good else 'it must be a list of network cards or addresses, such as ["enp3s0"]'


def _announce(value: object) -> str:
    return "" if isinstance(value, bool) else "it must be true or false"


def _user(value: object) -> str:
    good = isinstance(value, str) and _user_name.fullmatch(value) is not None
    return "" if good else "it must be the name of an account on this PC"


_CHECKS: dict[str, Callable[[object], str]] = {
    "station": _station,
    "port": _port,
    "interfaces": _interfaces,
    "announce": _announce,
    "kiosk_user": _user,
    "front_user": _user,
}
