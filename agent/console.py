"""What a technician at the PC asks the agent: the code, the plan, to be unpaired."""

import argparse
import socket
import struct
import sys
from pathlib import Path

from agent.core.changes import Change, Effect, Forget, Remember, Run, SetKernel
from agent.core.messages import Call, Leave, Left, Refused, Return
from agent.core.reconcile import whole_plan
from agent.host import Host
from agent.journal import Journal, JournalError
from agent.resources import KINDS
from agent.settings import Paths, Settings
from contract.desired import DesiredState, Resources
from contract.wire import ContractError, decode, encode

_HEAD = struct.Struct(">I")


def main(arguments: argparse.Namespace, settings: Settings, paths: Paths) -> int:
    """Run one of the three; the exit code."""
    try:
        match arguments.command:
            case "code":
                return _code(paths)
            case "plan":
                return _plan(paths, arguments.desired, arguments.json)
            case _:
                return _unpair(settings, paths)
    except PermissionError as error:
        return _failed(f"{error.filename} is for root only; use sudo")
    except (JournalError, ContractError) as error:
        return _failed(str(error))


def _code(paths: Paths) -> int:
    try:
        digits, ends = paths.code_file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return _failed(
            "there is no code: the PC is paired, or its agent is not running (systemctl status lab-agent)"
        )
    _say(f"{digits}   (until {ends[11:16]} UTC)")
    return 0


def _plan(paths: Paths, desired: Path | None, as_json: bool) -> int:
    file = paths.enforcer_state / "journal.sqlite"
    if not file.exists():
        file.parent.stat()
        return _failed("the agent has never run here; start it first (systemctl start lab-agent)")
    journal = Journal(file)
    wanted = Resources()
    if desired is not None:
        try:
            wanted = decode(DesiredState, desired.read_bytes()).resources
        except FileNotFoundError:
            return _failed(f"{desired} is not there")
        except ContractError as error:
            return _failed(f"{desired} is not a desired state: {error}")
    elif (target := journal.target()) is not None:
        wanted = decode(DesiredState, target[1].payload).resources
    plan = whole_plan(KINDS, wanted, journal.owned(), Host(paths.root))
    if as_json:
        _say(encode(plan).decode())
    elif not plan:
        _say("Nothing to change: the PC is as it shall be.")
    else:
        for change in plan:
            _say("\n".join(_lines(change)))
    return 0


def _lines(change: Change) -> list[str]:
    word = {Effect.TIGHTEN: "tighten", Effect.NEUTRAL: "change", Effect.LOOSEN: "loosen"}[change.effect]
    lines = [f"{word:8} {change.kind}  {change.subject}", f"         why: {change.why}"]
    for action in change.actions:
        match action:
            case Remember() | Forget():
                continue
            case SetKernel(key, value):
                lines.append(f"         set {key} = {value}")
            case Run(argv):
                lines.append(f"         run {' '.join(argv)}")
            case _:
                verb = type(action).__name__.replace("File", "").replace("Directory", " directory").lower()
                lines.append(f"         {verb} {action.path}")
    return lines


def _unpair(settings: Settings, paths: Paths) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(30)
        try:
            link.connect(str(paths.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return _failed("the agent is not running; start it first (systemctl start lab-agent)")
        frame = encode(Call(number=1, request=Leave()))
        link.sendall(_HEAD.pack(len(frame)) + frame)
        with link.makefile("rb") as stream:
            (length,) = _HEAD.unpack(stream.read(_HEAD.size))
            reply = decode(Return, stream.read(length)).reply
    match reply:
        case Left():
            _say(
                f"{settings.station} is unpaired; take it off the server too: labctl unpair {settings.station}"
            )
            return 0
        case Refused(message):
            return _failed(message)
        case _:
            return _failed("the agent gave an answer that makes no sense; see journalctl -u lab-enforcer")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _failed(line: str) -> int:
    sys.stderr.write(f"lab-agent: {line}\n")
    return 1
