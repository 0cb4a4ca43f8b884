"""What a wipe looks at, from the kernel's own tables: pure reading of their text."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from contract.sentence import Sentence, sentence
from contract.session import SPOTS, Canary, Looked, Place, Proof, Spot
from contract.wire import Message


class WipeTask(Message, frozen=True):
    """To the wipe's helper. `since`: nothing of the session is older (seconds since 1970; 0: look at all).

    `stage`: `look` at the session that still lives and then stop it, or `wipe` what is left.
    """

    session: str
    user: str
    since: float
    stage: Literal["look", "wipe"] = "wipe"


class Seen(Message, frozen=True):
    """What was there as the session ended: the canaries, and how many things its own unit took along."""

    session: str
    spots: tuple[Spot, ...] = ()
    took: dict[Place, int] = msgspec.field(default_factory=dict)


CANARY = "lab-canary"
CANARY_KEY = 0x6C6162
"""Of the canaries in System V's memory."""

COOKIES = "Default/Cookies"
LOCAL_STORAGE = "Default/Local Storage/leveldb"
"""Where Chromium keeps both, below its profile (--user-data-dir)."""

FILES: Mapping[Spot, str] = {
    "tmp": f"/tmp/{CANARY}",  # noqa: S108  # these are the places
    "var-tmp": f"/var/tmp/{CANARY}",  # noqa: S108
    "runtime": f"/run/lab-session/{CANARY}",
    "shared-files": f"/dev/shm/{CANARY}",  # noqa: S108
    "home": f"~/{CANARY}",
    "downloads": f"~/Downloads/{CANARY}",
    "cookie": f"~/profile/{COOKIES}",
    "local-storage": f"~/profile/{LOCAL_STORAGE}/{CANARY}",
}
"""The canaries that are in a file; ~ is the user's home."""

SYSTEM_V: Mapping[str, Spot] = {"shm": "shared-memory", "sem": "semaphores", "msg": "messages"}
"""The canaries in each of /proc/sysvipc/*."""


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
    return f"{CANARY}-{session}"


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


def own_mounts(session: str, host: str) -> list[str]:
    """The mount points of a session's own file systems, by its mountinfo and the host's."""
    shared = {line.split()[2] for line in host.splitlines()}
    return sorted(
        {
            _unescaped(line.split()[4])
            for line in session.splitlines()
            if line.split()[2] not in shared and line.partition(" - ")[2].split()[0] not in KERNELS_OWN
        }
    )


def has_key(table: str, key: int) -> bool:
    """Whether one of /proc/sysvipc/* has an object of this key; it writes keys as signed numbers."""
    return any(line.split()[0] == str(key) for line in table.splitlines()[1:] if line.strip())


def canaries(seen: Seen, left: Iterable[Spot]) -> tuple[Canary, ...]:
    """One for each spot."""
    rest = frozenset(left)
    return tuple(Canary(spot=spot, seen=spot in seen.spots, left=spot in rest) for spot in SPOTS)


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
    canaries = [canary.spot for canary in proof.canaries if canary.left]
    if canaries and not rest:
        return sentence(
            "After the wipe the session's canary is still there ({where}); {again}.",
            where=", ".join(canaries),
            again=again,
        )
    if not rest:
        return sentence("The wipe's proof is not of this session; {again}.", again=again)
    first = rest[0]
    if first.place == "changed-files":
        again = sentence(
            "take everybody's right to write them away (chmod o-w) or remove them, then labctl session end"
        )
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
