"""How the PC starts: at once into its system, with nothing to choose, to edit or to type.

GRUB shows no menu, asks for the lab's password before it edits an entry or gives
its command line, and before it starts anything but the entries of the PC's own
Linux. Without a password nobody can do any of that at the PC.

In force means: GRUB's own menu, which `update-grub` writes, has our part in it. A
PC that starts otherwise has no such menu, and there is nothing to look at.
"""

from agent.core.changes import Effect, Owned, Plan, Reader, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Boot, Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "boot"
SETTINGS = "/etc/default/grub.d/90-lab.cfg"
LOCK = "/etc/grub.d/09_lab"
"""Before 10_linux, so that what it sets holds for the entries made there."""
UNLOCK_END = "/etc/grub.d/11_lab"
"""After 10_linux: entries of other systems and of the firmware want the password."""
MENU = "/boot/grub/grub.cfg"
FILES = (SETTINGS, LOCK, UNLOCK_END)

_OUT = sentence("the lab no longer manages how the PC starts")
_UNREAD = sentence("GRUB's menu was not written since its settings changed")
_MISSING = sentence("GRUB's menu has no lock of the lab")
# A unit of its own: what looks for disks and writes to /boot has no place among the enforcer's rights.
_UPDATE = Run(argv=("systemctl", "start", "lab-boot.service"), timeout_s=90)
_SCRIPT = """#!/bin/sh
# Written by lab-agent; what is changed here is put back.
cat <<'LAB'
{text}LAB
"""


class Observed(Message, frozen=True):
    """The files, and whether GRUB's menu has the wanted lock; None where there is no menu."""

    files: Found
    locked: bool | None


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What GRUB will read at the next start."""
    menu = reader.file(MENU) if wanted.boot is not None else None
    locked = None
    if wanted.boot is not None and menu is not None:
        locked = lock(wanted.boot).encode() in menu.content
    return Observed(files=observe_files(FILES, owned, reader), locked=locked)


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """Settings, lock, and the menu that is made of them."""
    section = wanted.boot
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        return (*planner.release_and_tell(FILES, Effect.LOOSEN, (_UPDATE,), _OUT), *planner.tidy(()))
    wishes = (
        FileWish(path=SETTINGS, content=settings(section).encode()),
        # The hash is root's to read: a citizen could try passwords on it.
        FileWish(path=LOCK, content=_SCRIPT.format(text=lock(section)).encode(), mode=0o700),
        FileWish(path=UNLOCK_END, content=_SCRIPT.format(text=_LOCKED_AGAIN).encode(), mode=0o700),
    )
    missing = observed.locked is False
    return (
        *planner.put_and_tell(
            wishes,
            Effect.TIGHTEN,
            (_UPDATE,),
            _MISSING if missing else _UNREAD,
            in_force=not missing,
        ),
        *planner.tidy(FILES),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """Our files and the menu."""
    return () if wanted.boot is None else (*FILES, MENU)


def settings(boot: Boot) -> str:
    """What grub-mkconfig reads."""
    return f"""{HEAD}GRUB_TIMEOUT={boot.menu_s}
GRUB_TIMEOUT_STYLE={"menu" if boot.menu_s else "hidden"}
GRUB_RECORDFAIL_TIMEOUT={boot.menu_s}
GRUB_DISABLE_RECOVERY=true
GRUB_DISABLE_OS_PROBER=true
"""


def lock(boot: Boot) -> str:
    """GRUB's commands. A superuser without a password is one that nobody can be.

    What stands in `menuentry_id_option` is put into each entry by 10_linux.
    """
    password = f"password_pbkdf2 lab {boot.password_hash}\n" if boot.password_hash else ""
    return f"""set superusers="lab"
export superusers
{password}lab_menuentry_id_option="$menuentry_id_option"
menuentry_id_option="--unrestricted $menuentry_id_option"
"""


_LOCKED_AGAIN = 'menuentry_id_option="$lab_menuentry_id_option"\n'
