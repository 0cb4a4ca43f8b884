"""Kernel parameters: in force now, and again after the next boot.

The value in the running kernel is what counts; the file under sysctl.d carries
it over a reboot until the agent is up. There is no event for a parameter that
somebody changes, so the enforcer's slow pass looks at them.
"""

from agent.core.changes import Change, Effect, Forget, Owned, Plan, Reader, Remember, SetKernel
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "kernel"
FILE = "/etc/sysctl.d/90-lab.conf"

_KEY = "sysctl:"


class Observed(Message, frozen=True):
    """Values in force by key (None: this kernel has no such key), and the file."""

    values: dict[str, str | None]
    files: Found


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """The running kernel's values of the keys we want or own."""
    keys = set(wanted.kernel.sysctl) if wanted.kernel is not None else set()
    keys |= {key.removeprefix(_KEY) for key in owned if key.startswith(_KEY)}
    return Observed(
        values={key: reader.kernel(key) for key in sorted(keys)},
        files=observe_files((FILE,), owned, reader),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """Wanted values in, values that are no longer wanted back to what they were before us."""
    section = {} if wanted.kernel is None else wanted.kernel.sysctl
    changes: list[Change] = []
    for key, value in sorted(section.items()):
        now = observed.values.get(key)
        if now == fold(value):
            continue
        remember = Remember(kind=NAME, key=_KEY + key, value=(now or "").encode())
        if now is None:
            why = sentence("this kernel has no such parameter")
        else:
            why = sentence("it is {value}, not {wanted}", value=now, wanted=fold(value))
        actions = (SetKernel(key=key, value=value),)
        changes.append(
            Change(
                kind=NAME,
                subject=key,
                effect=Effect.TIGHTEN,
                why=why,
                actions=actions if _KEY + key in owned else (remember, *actions),
            )
        )
    for entry, original in sorted(owned.items()):
        key = entry.removeprefix(_KEY)
        if not entry.startswith(_KEY) or key in section:
            continue
        back = original.decode()
        differs = back and observed.values.get(key) != back
        forget = Forget(kind=NAME, key=entry)
        changes.append(
            Change(
                kind=NAME,
                subject=key,
                effect=Effect.LOOSEN,
                why=sentence("the lab no longer manages it"),
                actions=(SetKernel(key=key, value=back), forget) if differs else (forget,),
            )
        )
    planner = FilePlanner(NAME, observed.files, owned)
    if section:
        changes += planner.put(FileWish(path=FILE, content=_text(section)), Effect.TIGHTEN)
    else:
        changes += planner.release(FILE, Effect.LOOSEN, sentence("the lab no longer manages the kernel"))
    return (*changes, *planner.tidy((FILE,) if section else ()))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The file; the values cannot be watched."""
    return () if wanted.kernel is None else (FILE,)


def fold(value: str) -> str:
    """A value with its blanks folded: the kernel prints tabs where people write spaces."""
    return " ".join(value.split())


def _text(section: dict[str, str]) -> bytes:
    lines = (f"{key} = {fold(value)}\n" for key, value in sorted(section.items()))
    return ("# Written by lab-agent; what is changed here is put back.\n" + "".join(lines)).encode()
