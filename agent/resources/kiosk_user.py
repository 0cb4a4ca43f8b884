"""The account that citizens work as: it can do what the session's unit lets it do, and nothing by itself.

No login (shell and password), no groups beside its own, no subordinate ids (each
would be a user that the network filter does not know), no work for later (cron,
at, a lingering user manager). The unit gives it the groups that a session needs.

What a session runs can gain no rights: its unit says NoNewPrivileges, which a
process cannot lay down again, and a look reads it where the kernel says it of
the running processes. So no setuid program has to be taken away from anybody.
"""

from collections.abc import Iterator

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run, WriteFile
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import KioskUser, Resources
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "kiosk_user"
PASSWD, SHADOW, GROUP = "/etc/passwd", "/etc/shadow", "/etc/group"
SUBORDINATE = ("/etc/subuid", "/etc/subgid")
FOR_LATER = ("/etc/cron.allow", "/etc/at.allow")
"""Where such a file is, only who is named in it may leave work for later; root may anyway."""
LINGER = "/var/lib/systemd/linger"
NOLOGIN = "/usr/sbin/nologin"

_SESSION = "lab-session.service"
_PROCESSES = f"/sys/fs/cgroup/lab.slice/lab-kiosk.slice/{_SESSION}/cgroup.procs"
_ONLY_ROOT = b"root\n"

_USER, _SHELL, _PASSWORD, _GROUPS, _LINES = "user", "shell", "password", "groups", "lines:"
_LOCK, _EMPTY = b"locked", b"was-empty"

_OUT = sentence("the lab no longer manages the citizens' account")


class Account(Message, frozen=True):
    """What the account may do by itself. Nothing of the password is kept but whether it opens anything."""

    uid: int
    shell: str
    password: bool
    empty: bool
    groups: tuple[str, ...]


class Observed(Message, frozen=True):
    """The account (None where there is none), lines of subordinate ids, processes that could gain rights.

    `accounts` is false where there is no list of accounts to look at: below a prefix.
    """

    files: Found
    accounts: bool
    account: Account | None
    subordinate: dict[str, bytes]
    lingers: bool
    gaining: bool


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """The account files as all programs read them, and the session's processes as the kernel has them."""
    section = wanted.kiosk_user
    user = section.user if section is not None else owned.get(_USER, b"").decode()
    files = observe_files(FOR_LATER, owned, reader)
    if not user:
        return Observed(files, False, None, {}, False, False)
    passwd = _lines(reader, PASSWD)
    account = _account(user, passwd, reader)
    subordinate: dict[str, bytes] = {}
    for path in SUBORDINATE:
        state = reader.file(path)
        if state is not None:
            subordinate[path] = state.content
    return Observed(
        files=files,
        accounts=bool(passwd),
        account=account,
        subordinate=subordinate,
        lingers=user in (reader.names(LINGER) or ()),
        gaining=section is not None and account is not None and _can_gain(account.uid, reader),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """What the account could do by itself is taken from it; leaving management gives it back."""
    section = wanted.kiosk_user
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        return (*_leave(planner, observed, owned), *planner.tidy(()))
    changes: list[Change] = []
    if observed.account is not None:
        changes += _closed(section, observed.account, observed, owned)
    elif observed.accounts:
        why = sentence(
            "there is no user {user} on this PC: adduser --disabled-password {user}", user=section.user
        )
        changes.append(_change(section.user, Effect.TIGHTEN, why))
    if observed.lingers:
        lingering = sentence("its programs would run on without a session")
        stop = Run(argv=("loginctl", "disable-linger", section.user))
        changes.append(_change(f"{LINGER}/{section.user}", Effect.TIGHTEN, lingering, stop))
    if observed.gaining:
        walls = sentence("a program of the session could gain rights")
        anew = Run(argv=("systemctl", "restart", _SESSION))
        changes.append(_change(_SESSION, Effect.TIGHTEN, walls, anew))
    for path in FOR_LATER:
        changes += planner.put(FileWish(path=path, content=_ONLY_ROOT), Effect.TIGHTEN)
    return (*changes, *planner.tidy(FOR_LATER))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The account files, and what would wait for later."""
    if wanted.kiosk_user is None:
        return ()
    return (PASSWD, SHADOW, GROUP, *SUBORDINATE, *FOR_LATER, f"{LINGER}/{wanted.kiosk_user.user}")


def _closed(section: KioskUser, account: Account, observed: Observed, owned: Owned) -> Iterator[Change]:
    user = section.user
    if _USER not in owned:
        kept = sentence("what it was when the lab took the PC over is remembered")
        yield _change(user, Effect.TIGHTEN, kept, *_remembered(user, account, observed))
    if account.shell != NOLOGIN:
        why = sentence("its shell is {shell}: somebody could sign in as a citizen", shell=account.shell)
        yield _change(user, Effect.TIGHTEN, why, Run(argv=("usermod", "--shell", NOLOGIN, user)))
    if account.password:
        lock = ("usermod", "--password", "!", user) if account.empty else ("usermod", "--lock", user)
        yield _change(user, Effect.TIGHTEN, sentence("it has a password"), Run(argv=lock))
    if account.groups:
        groups = ", ".join(account.groups)
        why = sentence("it is in {groups}, which is more than a citizen needs", groups=groups)
        out = (Run(argv=("gpasswd", "--delete", user, group)) for group in account.groups)
        yield _change(user, Effect.TIGHTEN, why, *out)
    names = _names(user, account)
    for path, content in sorted(observed.subordinate.items()):
        if _of(names, content):
            # Written, not by usermod: that refuses while anything of the user's runs.
            less = WriteFile(path=path, content=_without(names, content))
            why = sentence("it has ids of its own beside its user's, which the network filter does not know")
            yield _change(path, Effect.TIGHTEN, why, less)


def _remembered(user: str, account: Account, observed: Observed) -> Iterator[Remember]:
    """All that may be taken from it, so that what it is given later does not count; whose it is, last."""
    names = _names(user, account)
    opens = (_EMPTY if account.empty else _LOCK) if account.password else b""
    entries = {
        _SHELL: account.shell.encode(),
        _PASSWORD: opens,
        _GROUPS: ",".join(account.groups).encode(),
        **{_LINES + path: _of(names, content) for path, content in sorted(observed.subordinate.items())},
        _USER: user.encode(),
    }
    return (Remember(kind=NAME, key=key, value=value) for key, value in entries.items())


def _leave(planner: FilePlanner, observed: Observed, owned: Owned) -> Iterator[Change]:
    for path in FOR_LATER:
        yield from planner.release(path, Effect.LOOSEN, _OUT)
    user = owned.get(_USER, b"").decode()
    account = observed.account
    for key in sorted(owned):
        if key.startswith(_LINES):
            path = key.removeprefix(_LINES)
            content = observed.subordinate.get(path, b"")
            wanted = owned[key] and not _of(_names(user, account), content)
            back = (WriteFile(path=path, content=content + owned[key]),) if wanted else ()
            yield _change(path, Effect.LOOSEN, _OUT, *back, Forget(kind=NAME, key=key))
    for key in (_GROUPS, _PASSWORD, _SHELL):
        if key in owned:
            given = _given_back(key, owned[key], user, account)
            yield _change(user, Effect.LOOSEN, _OUT, *given, Forget(kind=NAME, key=key))
    if user:
        yield _change(user, Effect.LOOSEN, _OUT, Forget(kind=NAME, key=_USER))


def _given_back(key: str, value: bytes, user: str, account: Account | None) -> tuple[Action, ...]:
    """What was taken, but what somebody has given it meanwhile."""
    if account is None:
        return ()
    if key == _SHELL:
        closed = account.shell == NOLOGIN and value.decode() != NOLOGIN
        return (Run(argv=("usermod", "--shell", value.decode(), user)),) if closed else ()
    if key == _PASSWORD:
        unlock = ("usermod", "--password", "", user) if value == _EMPTY else ("usermod", "--unlock", user)
        return (Run(argv=unlock),) if value and not account.password else ()
    missing = [group for group in value.decode().split(",") if group and group not in account.groups]
    return tuple(Run(argv=("gpasswd", "--add", user, group)) for group in missing)


def _account(user: str, passwd: list[list[str]], reader: Reader) -> Account | None:
    """See passwd(5), shadow(5), group(5)."""
    entry = next((fields for fields in passwd if fields[0] == user and len(fields) == 7), None)
    if entry is None or not entry[2].isdigit():
        return None
    stored = next(
        (fields[1] for fields in _lines(reader, SHADOW) if fields[0] == user and len(fields) > 1), "!"
    )
    groups = (
        fields[0]
        for fields in _lines(reader, GROUP)
        if len(fields) == 4 and user in fields[3].split(",") and fields[2] != entry[3]
    )
    return Account(
        uid=int(entry[2]),
        shell=entry[6],
        password=not stored.startswith(("!", "*")),
        empty=not stored,
        groups=tuple(sorted(groups)),
    )


def _can_gain(uid: int, reader: Reader) -> bool:
    """Whether a process of the session runs as that user without "no new privileges" (proc_pid_status(5))."""
    state = reader.file(_PROCESSES)
    for pid in state.content.decode().split() if state is not None else ():
        status = reader.file(f"/proc/{pid}/status")  # None: it has ended
        words = status.content.decode(errors="replace").split() if status is not None else []
        if "NoNewPrivs:" in words and "Uid:" in words:
            mine = words[words.index("Uid:") + 1] == str(uid)
            if mine and words[words.index("NoNewPrivs:") + 1] != "1":
                return True
    return False


def _names(user: str, account: Account | None) -> frozenset[str]:
    """As whom lines of subuid(5) may name it."""
    return frozenset((user, *((str(account.uid),) if account is not None else ())))


def _of(names: frozenset[str], content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(line for line in lines if line.split(b":")[0].decode(errors="replace") in names)


def _without(names: frozenset[str], content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(line for line in lines if line.split(b":")[0].decode(errors="replace") not in names)


def _lines(reader: Reader, path: str) -> list[list[str]]:
    state = reader.file(path)
    text = state.content.decode(errors="replace") if state is not None else ""
    return [line.split(":") for line in text.splitlines()]


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
