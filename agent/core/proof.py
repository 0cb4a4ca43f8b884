"""What a wipe looks at, from the kernel's own tables: pure reading of their text."""

from collections.abc import Iterable

import msgspec

from contract.sentence import Sentence, sentence
from contract.session import Looked, Place, Proof
from contract.wire import Message


class WipeTask(Message, frozen=True):
    """To the wipe's helper. `since`: nothing of the session is older (seconds since 1970; 0: look at all)."""

    session: str
    user: str
    since: float


KERNELS_OWN = frozenset(
    (
        *("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "pstore"),
        *("configfs", "fusectl", "efivarfs", "binfmt_misc", "nsfs", "rpc_pipefs", "selinuxfs", "autofs"),
    )
)
"""File systems that show what the kernel is, and keep nothing of a user's."""

_DEAD = frozenset("ZX")


def canary(session: str) -> str:
    """What is planted in a session of this id. Nothing of ours writes the two parts together elsewhere."""
    return f"lab-canary-{session}"


class Process(msgspec.Struct, frozen=True):
    """A process, from /proc/PID/status."""

    name: str
    uids: frozenset[int]
    dead: bool


def process(status: str) -> Process:
    """What /proc/PID/status says. Raises KeyError where it says nothing, the process being gone."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Process(
        name=fields["Name"].strip(),
        uids=frozenset(map(int, fields["Uid"].split())),
        dead=fields["State"].split()[0] in _DEAD,
    )


def mounts(mountinfo: str, uid: int) -> tuple[list[str], list[str]]:
    """The mount points to be walked, and those that the user made by FUSE (proc_pid_mountinfo(5))."""
    walk: set[str] = set()
    theirs: list[str] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = _unescaped(before.split()[4])
        kind, _source, options = (*after.split(), "", "")[:3]
        if kind.startswith("fuse"):
            if f"user_id={uid}" in options.split(","):
                theirs.append(point)
            elif kind == "fuse" or kind.startswith("fuse."):
                continue  # another user's: root may not look, and neither may the kiosk user
        if kind not in KERNELS_OWN:
            walk.add(point)
    return sorted(walk), theirs


def ipc(table: str, uid: int) -> list[int]:
    """Ids in one of /proc/sysvipc/* that the user owns or made."""
    head, *rows = [line.split() for line in table.splitlines() if line.strip()]
    columns = [head.index("uid"), head.index("cuid")]
    return [int(row[1]) for row in rows if uid in (int(row[column]) for column in columns)]


def looked(place: Place, found: int, left: Iterable[str]) -> Looked:
    """One line of the proof; `left` names each thing that is left by where it is."""
    rest = list(left)
    return Looked(
        place=place, found=found, left=len(rest), where=tuple(sorted({name[:200] for name in rest}))[:8]
    )


def unclean(proof: Proof | None) -> Sentence:
    """What is left on a PC that could not be cleaned, for the technician."""
    again = sentence("restart the PC, or run labctl session end once more")
    if proof is None:
        return sentence(
            "The wipe came to no proof (journalctl -u lab-wipe on the PC says why); {again}.", again=again
        )
    rest = [look for look in proof.looked if look.left]
    if not rest:
        return sentence("The wipe's proof is not of this session; {again}.", again=again)
    first = rest[0]
    return sentence(
        "After the wipe something is left: {count} of {kind} ({where}); {again}.",
        count=sum(look.left for look in rest),
        kind=_KINDS[first.place],
        where=", ".join(first.where),
        again=again,
    )


_KINDS: dict[Place, Sentence] = {
    "processes": sentence("processes"),
    "files": sentence("files"),
    "changed-files": sentence("files with the session's mark"),
    "shared-memory": sentence("shared memory"),
    "screen": sentence("the screen"),
    "print-jobs": sentence("print jobs"),
}


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
