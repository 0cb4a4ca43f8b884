"""What a technician at the PC asks the agent: the code, the plan, to be unpaired."""

import argparse
import socket
import struct
import sys
from math import ceil
from pathlib import Path

from agent.clock import since_boot
from agent.core.changes import Change, Effect, Forget, LoadRules, MakeLink, Reload, Remember, Run, SetKernel
from agent.core.held import HeldState, read_held
from agent.core.messages import Call, Leave, Left, Refused, Return
from agent.core.reconcile import whole_plan
from agent.host import Host
from agent.journal import Journal, JournalError
from agent.resources import KINDS
from agent.settings import Paths, Settings
from agent.words import _, mark
from contract.desired import DesiredState, Resources
from contract.pairing import CODE_LIFE_S
from contract.wire import ContractError, decode, encode

_HEAD = struct.Struct(">I")

_EFFECTS = {Effect.TIGHTEN: mark("tighten"), Effect.NEUTRAL: mark("change"), Effect.LOOSEN: mark("loosen")}


def main(arguments: argparse.Namespace, settings: Settings, paths: Paths) -> int:
    """Run one of the three; the exit code."""
    try:
        match arguments.command:
            case "code":
                return _code(paths)
            case "plan":
                return _plan(paths, arguments.desired, arguments.json)
            case _other:
                return _unpair(settings, paths)
    except PermissionError as error:
        return _failed(_("{file} is for root only; use sudo").format(file=error.filename or paths.socket))
    except JournalError as error:
        return _failed(error.sentence.said(_))
    except ContractError as error:
        return _failed(str(error))


def _code(paths: Paths) -> int:
    try:
        digits, ends = paths.code_file.read_text(encoding="ascii").split()
        left = float(ends) - since_boot()
    except FileNotFoundError:
        left = 0.0
    # An agent that was killed leaves its code behind; one of before the PC was started may seem to last.
    if not 0 < left <= CODE_LIFE_S:
        return _failed(
            _("there is no code: the PC is paired, or its agent is down (systemctl status lab-enforcer)")
        )
    _say(_("{digits}   (for {count} more min)").format(digits=digits, count=ceil(left / 60)))
    return 0


def _plan(paths: Paths, desired: Path | None, as_json: bool) -> int:
    file = paths.enforcer_state / "journal.sqlite"
    if not file.exists():
        file.parent.stat()  # a folder that is not for us is another mistake than one that is not there
        return _failed(_("the agent has never run here; start it first (systemctl start lab-enforcer)"))
    signed, owned = Journal.peek(file)
    held = HeldState(None)
    if desired is not None:
        try:
            held = HeldState(decode(DesiredState, desired.read_bytes()))
        except OSError as error:
            return _failed(_("{file} cannot be read: {why}").format(file=desired, why=error.strerror))
        except ContractError as error:
            return _failed(_("{file} is not a desired state: {why}").format(file=desired, why=error))
    elif signed is not None:
        held = read_held(signed.payload)
    wanted = Resources() if held.desired is None else held.desired.resources
    kinds = (kind for kind in KINDS if held.is_ours_to_keep(kind.NAME))
    plan = whole_plan(kinds, wanted, owned, Host(paths.root))
    if as_json:
        _say(encode(plan).decode())
    elif not plan:
        _say(_("Nothing to change: the PC is as it shall be."))
    else:
        for change in plan:
            _say("\n".join(_lines(change)))
    return 0


def _lines(change: Change) -> list[str]:
    word = _(_EFFECTS[change.effect])
    lines = [f"{word:11} {change.kind}  {change.subject}", f"{'':11} {_('why:')} {change.why.said(_)}"]
    for action in change.actions:
        match action:
            case Remember() | Forget():
                continue
            case SetKernel(key, value):
                told = _("set {key} = {value}").format(key=key, value=value)
            case MakeLink(path, target):
                told = _("link {path} to {target}").format(path=path, target=target)
            case LoadRules(table, rules):
                told = (_("load table {table}") if rules else _("remove table {table}")).format(table=table)
            case Reload(unit):
                told = _("have {unit} read its files again").format(unit=unit)
            case Run(argv):
                told = _("run {program}").format(program=" ".join(argv))
            case _other:
                verb = type(action).__name__.replace("File", "").replace("Directory", " directory").lower()
                told = f"{_(verb)} {action.path}"
        lines.append(f"{'':11} {told}")
    return lines


_VERBS = (mark("write"), mark("remove"), mark("make directory"), mark("remove directory"))


def _unpair(settings: Settings, paths: Paths) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(30)
        try:
            link.connect(str(paths.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return _failed(_("the agent is not running; start it first (systemctl start lab-enforcer)"))
        frame = encode(Call(number=1, request=Leave()))
        link.sendall(_HEAD.pack(len(frame)) + frame)
        with link.makefile("rb") as stream:
            (length,) = _HEAD.unpack(stream.read(_HEAD.size))
            reply = decode(Return, stream.read(length)).reply
    match reply:
        case Left():
            told = _("{station} is unpaired. Take it off the server too: labctl unpair {station} --force")
            _say(told.format(station=settings.station))
            return 0
        case Refused(message):
            return _failed(message.said(_))
        case _other:
            return _failed(_("the agent's answer makes no sense; see journalctl -u lab-enforcer"))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _failed(line: str) -> int:
    sys.stderr.write(f"lab-agent: {line}\n")
    return 1
