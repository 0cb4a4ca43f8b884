"""Planning for files with exact contents, shared by the kinds that are made of them.

Before the first write the journal remembers what was there, so that leaving
management puts it back and touches nothing else. A file of our name with our
content is ours even where the journal has lost its memory.

Most files count only when some program has read them. Whether it has since they
changed is what the entry `loaded` says: it is dropped before the first of them
changes and written when the program was told, so a power cut in between is made good.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from posixpath import dirname

from agent.core.changes import (
    Action,
    Change,
    Effect,
    FileState,
    Forget,
    MakeDirectory,
    MakeLink,
    Owned,
    Plan,
    Reader,
    Remember,
    RemoveDirectory,
    RemoveFile,
    WriteFile,
)
from contract.sentence import Sentence, sentence
from contract.wire import Message, decode, encode

HEAD = "# Written by lab-agent; what is changed here is put back.\n"
"""First line of what is written, where the format has such comments."""
LOADED = "loaded"
"""The entry with the contents that a program was last told to read."""

_DIRECTORY = "directory:"
_MODE = 0o755
"""Of directories that we make: what is in them is to be read by those who must obey it."""


class Found(Message, frozen=True):
    """Files and the directories above them as found.

    A directory is right when it is there and, where we made it, root's with our
    mode and no link to another one. `in_the_way` are links and files that stand
    where a directory has to be.
    """

    files: dict[str, FileState | None]
    directories: dict[str, bool]
    in_the_way: frozenset[str] = frozenset()


class Original(Message, frozen=True):
    """What stood at a path before us; nothing if `state` is None."""

    state: FileState | None = None


class FileWish(Message, frozen=True):
    """A file as it shall be."""

    path: str
    content: bytes
    mode: int = 0o644


def observe_files(paths: Iterable[str], owned: Owned, reader: Reader) -> Found:
    """The files at `paths` and at every path we own, and the directories above them."""
    wanted = set(paths) | {key for key in owned if key.startswith("/")}
    above = {parent for path in wanted for parent in _parents(path)}
    ours = {key.removeprefix(_DIRECTORY) for key in owned if key.startswith(_DIRECTORY)}
    directories = {
        path: reader.directory(path) == _MODE if path in ours else reader.is_directory(path)
        for path in sorted(above | ours)
    }
    wrong = (path for path, right in directories.items() if not right)
    return Found(
        files={path: reader.file(path) for path in sorted(wanted)},
        directories=directories,
        in_the_way=frozenset(path for path in wrong if _is_in_the_way(path, reader)),
    )


def _is_in_the_way(path: str, reader: Reader) -> bool:
    """Whether a link or a file stands where a directory has to be; a folder of strangers is none of these."""
    state = reader.file(path)
    return state is not None and (state.target is not None or not reader.is_directory(path))


class FilePlanner:
    """Plans for the files of one kind, from what was found and what the journal remembers."""

    def __init__(self, kind: str, found: Found, owned: Owned) -> None:
        self._kind = kind
        self._found = found
        self._owned = owned

    def is_right(self, wish: FileWish) -> bool:
        """Whether the file is there as wished: content, mode, owner, and its directories."""
        state = self._found.files.get(wish.path)
        return (
            state is not None
            and state.ours
            and state.content == wish.content
            and state.mode == wish.mode
            and all(self._found.directories.get(path, False) for path in _parents(wish.path))
        )

    def put(self, wish: FileWish, effect: Effect) -> Plan:
        """The change that makes a file as wished; none if it is."""
        state = self._found.files.get(wish.path)
        if self.is_right(wish):
            if wish.path in self._owned:
                return ()
            adopted = Remember(kind=self._kind, key=wish.path, value=encode(Original()))
            return (
                self._change(
                    wish.path, Effect.NEUTRAL, sentence("it is ours, and the journal forgot"), adopted
                ),
            )
        actions: list[Action] = []
        for directory in _parents(wish.path):
            if not self._found.directories.get(directory, False):
                actions.append(Remember(kind=self._kind, key=_DIRECTORY + directory, value=b""))
                if directory in self._found.in_the_way:
                    actions.append(RemoveFile(path=directory))
                actions.append(MakeDirectory(path=directory, mode=_MODE))
        actions += self.remember(wish.path, state)
        actions.append(WriteFile(path=wish.path, content=wish.content, mode=wish.mode))
        return (self._change(wish.path, effect, _difference(state, wish), *actions),)

    def put_and_tell(
        self,
        wishes: Sequence[FileWish],
        effect: Effect,
        tell: Iterable[Action],
        unread: Sentence,
        *,
        in_force: bool = True,
    ) -> Plan:
        """The one change that makes files as wished and has a program read them; none if both is so.

        `tell` is what has it read them, `unread` the reason given where only
        that is missing; `in_force` is false where it is seen not to do as the
        files say.
        """
        written = [change for wish in wishes for change in self.put(wish, effect)]
        wrong = [wish for wish in wishes if not self.is_right(wish)]
        content = b"".join(wish.content for wish in wishes)
        if not wrong and in_force and self._owned.get(LOADED) == content:
            return tuple(written)
        subject = (*wrong, wishes[-1])[0].path
        why = _difference(self._found.files.get(subject), wrong[0]) if wrong else unread
        actions = (
            Forget(kind=self._kind, key=LOADED),
            *(action for change in written for action in change.actions),
            *tell,
            Remember(kind=self._kind, key=LOADED, value=content),
        )
        return (self._change(subject, effect, why, *actions),)

    def release_and_tell(
        self, paths: Sequence[str], effect: Effect, tell: Iterable[Action], why: Sentence
    ) -> Plan:
        """The changes that put back what stood at `paths` and have a program read that; none if not ours."""
        released = [change for path in paths for change in self.release(path, effect, why)]
        if LOADED in self._owned:
            forget = Forget(kind=self._kind, key=LOADED)
            released.append(self._change(paths[-1], effect, why, *tell, forget))
        return tuple(released)

    def remember(self, path: str, state: FileState | None) -> tuple[Remember, ...]:
        """The entry that lets `path` be put back later; none where there is one."""
        if path in self._owned:
            return ()
        return (Remember(kind=self._kind, key=path, value=encode(Original(state=state))),)

    def release(self, path: str, effect: Effect, why: Sentence) -> Plan:
        """The change that puts back what stood at `path` before us; none if we do not own it."""
        if path not in self._owned:
            return ()
        original = decode(Original, self._owned[path]).state
        state = self._found.files.get(path)
        actions: list[Action] = []
        if original is not None and state != original:
            actions.append(_back(path, original))
        if original is None and state is not None:
            actions.append(RemoveFile(path=path))
        return (self._change(path, effect, why, *actions, Forget(kind=self._kind, key=path)),)

    def tidy(self, wanted: Iterable[str]) -> Plan:
        """The last changes of a kind: directories we made and that none of the `wanted` files needs."""
        needed = {parent for path in wanted for parent in _parents(path)}
        ours = (key.removeprefix(_DIRECTORY) for key in self._owned if key.startswith(_DIRECTORY))
        spare = sorted((path for path in ours if path not in needed), key=len, reverse=True)
        return tuple(
            self._change(
                path,
                Effect.LOOSEN,
                sentence("nothing of ours is left in this directory of ours"),
                RemoveDirectory(path=path),
                Forget(kind=self._kind, key=_DIRECTORY + path),
            )
            for path in spare
        )

    def _change(self, subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
        return Change(kind=self._kind, subject=subject, effect=effect, why=why, actions=actions)


def _back(path: str, original: FileState) -> Action:
    if original.target is not None:
        return MakeLink(path=path, target=original.target)
    return WriteFile(path=path, content=original.content, mode=original.mode)


def _difference(state: FileState | None, wish: FileWish) -> Sentence:
    """Why a file has to be written, in a sentence."""
    if state is None:
        return sentence("the file is missing")
    if not state.ours:
        return sentence("it is not a regular file of root's")
    if state.content != wish.content:
        return sentence("the content differs")
    if state.mode == wish.mode:
        return sentence("a directory above it was replaced or closed")
    return sentence("the mode is {mode}, not {wanted}", mode=f"{state.mode:o}", wanted=f"{wish.mode:o}")


@lru_cache(maxsize=256)  # the same hundred paths at every look
def _parents(path: str) -> tuple[str, ...]:
    """Directories above `path`, outermost first, without the root."""
    found: list[str] = []
    while (path := dirname(path)) not in ("/", ""):
        found.append(path)
    return tuple(reversed(found))
