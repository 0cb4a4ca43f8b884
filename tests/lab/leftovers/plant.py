"""plant.py SEED MARK HOW_MANY: walk the PC as whoever runs this, and leave MARK in random writable places.

What is writable is found by writing: a folder by making a file in it and taking it away again, a file by
opening it for appending. Prints a line of JSON: how many places there were, and where the mark was left.
"""

import contextlib
import json
import os
import random
import socket
import stat
import sys
from collections.abc import Callable, Iterator

KERNELS = ("/proc", "/sys")


def places() -> Iterator[tuple[str, str]]:
    """Each folder and file that takes something: its kind, its path."""
    probe = f"probe-{os.getpid()}"
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in KERNELS]
        try:
            with open(os.path.join(folder, probe), "xb"):
                pass
            os.unlink(os.path.join(folder, probe))
            yield "folder", folder
        except OSError:
            pass
        for name in names:
            path = os.path.join(folder, name)
            try:
                if stat.S_ISREG(os.lstat(path).st_mode):
                    os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW))
                    yield "file", path
            except OSError:
                continue


def in_a_file(folder: str, mark: str) -> None:
    with open(os.path.join(folder, "words"), "w") as file:
        file.write(mark)


def in_a_name(folder: str, mark: str) -> None:
    with open(os.path.join(folder, mark), "x"):
        pass


def with_a_strange_name(folder: str, mark: str) -> None:
    with open(os.path.join(os.fsencode(folder), b"a\nb \xff" + mark.encode()), "w") as file:
        file.write(mark)


def below_closed_folders(folder: str, mark: str) -> None:
    deep = os.path.join(folder, ".deep", "er")
    os.makedirs(deep)
    in_a_file(deep, mark)
    os.chmod(os.path.join(folder, ".deep", "er"), 0)
    os.chmod(os.path.join(folder, ".deep"), 0o111)


def as_a_links_target(folder: str, mark: str) -> None:
    os.symlink(f"/nowhere/{mark}", os.path.join(folder, "link"))


def as_a_pipe(folder: str, mark: str) -> None:
    os.mkfifo(os.path.join(folder, f"pipe-{mark}"))


def as_a_socket(folder: str, mark: str) -> None:
    door = socket.socket(socket.AF_UNIX)
    door.bind(os.path.join(folder, f"door-{mark}"[:60]))


def for_everybody_to_write(folder: str, mark: str) -> None:
    path = os.path.join(folder, "everybodys")
    with open(path, "w") as file:
        file.write(mark)
    os.chmod(path, 0o666)


def with_a_second_name(folder: str, mark: str) -> None:
    in_a_name(folder, f"first-{mark}")
    os.link(os.path.join(folder, f"first-{mark}"), os.path.join(folder, f"second-{mark}"))


def with_an_old_date(folder: str, mark: str) -> None:
    path = os.path.join(folder, "old")
    with open(path, "w") as file:
        file.write(mark)
    os.utime(path, (0, 0))


WAYS: tuple[Callable[[str, str], None], ...] = (
    *(in_a_file, in_a_name, with_a_strange_name, below_closed_folders, as_a_links_target, as_a_pipe),
    *(as_a_socket, for_everybody_to_write, with_a_second_name, with_an_old_date),
)


def main(seed: str, mark: str, how_many: int) -> None:
    """Plant; what a place does not take is left out of the answer."""
    chance = random.Random(seed)
    found = sorted(set(places()))
    done: list[str] = []
    for kind, path in chance.sample(found, min(how_many, len(found))):
        if kind == "file":
            with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
                file.write(mark.encode())
                done.append(f"append: {path}")
            continue
        for way in chance.sample(WAYS, 3):
            with contextlib.suppress(OSError):
                way(path, mark)
                done.append(f"{way.__name__}: {path}")
    print(json.dumps({"writable": len(found), "planted": done}))


if __name__ == "__main__":
    os.umask(0)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
