"""What may be plugged in: USB by the class of its interfaces, and storage not at all, to read, or freely.

udev takes the authorization from each interface whose class is not listed, so
that no driver serves it: a keyboard that is also a disk stays a keyboard. Where
storage is closed its modules are not loaded either. Storage that is let in is
mounted by nobody (udisks leaves it alone, and polkit grants the kiosk user
nothing): a helper of the session's copies documents from it, in user space
(agent/helpers/stick.py); where it may only be read the kernel refuses to write to it.

In force means: udev has read its rules since they changed, and no interface of
another class is authorized.
"""

import re

from agent.core import stick
from agent.core.changes import Effect, FileState, Owned, Plan, Reader, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources, Storage
from contract.sentence import sentence
from contract.wire import Message, encode

NAME = "storage"
RULES = "/etc/udev/rules.d/90-lab-usb.rules"
MODULES = "/etc/modprobe.d/90-lab-usb.conf"
POLKIT = "/etc/polkit-1/rules.d/00-lab-kiosk.rules"
DOCUMENTS = "/etc/lab-agent/stick.json"
"""What the stick's helper may copy (agent.core.stick.Rules); without it there is no helper."""

ALWAYS = ("03", "09")
"""Keyboards and mice, and the hubs they hang on."""
STORAGE = "08"
CLASSES = {
    "audio": ("01",),
    "network": ("02", "0a", "e0"),
    "printer": ("07",),
    "smart-card": ("0b",),
    "still-image": ("06",),
    "vendor-specific": ("ff",),
    "video": ("0e",),
}
"""The contract's words: interface classes as https://www.usb.org/defined-class-codes has them, in hex."""

_BUS = "/sys/bus/usb/devices"
_LISTED = re.compile(r'bInterfaceClass\}!="([0-9a-f|]+)"')
_SETRO = "--setro"
_CARDS = "org.debian.pcsc-lite.access_"
"""Both of pcscd's actions: to come to it, and to use a card."""

_OUT = sentence("the lab no longer manages what is plugged in")
_UNREAD = sentence("udev has not read its rules since they changed")
_TRIGGER = ("udevadm", "trigger", "--settle", "--action=change")
_READ = (
    # As `udevadm control --reload`, but no failure where no udev runs: it reads them when it starts.
    Run(argv=("systemctl", "try-reload-or-restart", "systemd-udevd.service")),
    # What is plugged in already goes through the rules again.
    Run(argv=(*_TRIGGER, "--subsystem-match=usb")),
    Run(argv=(*_TRIGGER, "--subsystem-match=block", "--property-match=ID_BUS=usb")),
)


_FILES = (DOCUMENTS, MODULES, POLKIT, RULES)


class Observed(Message, frozen=True):
    """The files, and the interfaces that are authorized though their class is not listed."""

    files: Found
    strangers: tuple[str, ...]


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """The files, and the USB as the kernel has it."""
    section = wanted.storage
    strangers: list[str] = []
    if section is not None:
        listed = classes(section)
        for name in reader.names(_BUS) or ():
            kind = _word(reader, f"{_BUS}/{name}/bInterfaceClass") if ":" in name else ""
            if kind and kind not in listed and _word(reader, f"{_BUS}/{name}/authorized") == "1":
                strangers.append(name)
    return Observed(files=observe_files(_FILES, owned, reader), strangers=tuple(strangers))


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The three files as the section says, read by udev; modules only where storage is closed."""
    section = wanted.storage
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        return (
            *planner.release(DOCUMENTS, Effect.TIGHTEN, _OUT),
            *planner.release_and_tell((MODULES, POLKIT, RULES), Effect.LOOSEN, _READ, _OUT),
            *planner.tidy(()),
        )
    wishes = [
        FileWish(path=POLKIT, content=polkit_rule(section).encode()),
        FileWish(path=RULES, content=udev_rules(section).encode()),
    ]
    opened: Plan = ()
    kept = {POLKIT, RULES}
    if section.removable == "none":
        wishes.insert(0, FileWish(path=MODULES, content=_MODULES_TEXT.encode()))
        kept.add(MODULES)
        documents = planner.release(DOCUMENTS, Effect.TIGHTEN, sentence("removable storage is closed"))
    else:
        opened = planner.release(MODULES, Effect.LOOSEN, sentence("removable storage is let in"))
        rules = FileWish(path=DOCUMENTS, content=encode(stick.rules(section)))
        documents = planner.put(rules, Effect.NEUTRAL)
        kept.add(DOCUMENTS)
    unread = _UNREAD
    if observed.strangers:
        unread = sentence(
            "a USB device of a kind that is closed is in use: {name}", name=observed.strangers[0]
        )
    effect = _effect(section, observed.files.files.get(RULES))
    return (
        *documents,
        *planner.put_and_tell(wishes, effect, _READ, unread, in_force=not observed.strangers),
        *opened,
        *planner.tidy(kept),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The files, and what the stick's helper tells; what is plugged in udev looks at."""
    return () if wanted.storage is None else (*_FILES, stick.REPORT)


def classes(storage: Storage) -> frozenset[str]:
    """The interface classes that are served."""
    listed = {code for word in storage.usb for code in CLASSES[word]}
    return frozenset((*ALWAYS, *listed, *((STORAGE,) if storage.removable != "none" else ())))


def udev_rules(storage: Storage) -> str:
    """udev's part; a rule is one line."""
    listed = "|".join(sorted(classes(storage)))
    rules = f"""{HEAD}# USB interfaces of other classes than these are served by no driver.
ACTION!="remove", SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_interface", \
ATTR{{bInterfaceClass}}!="{listed}", ATTR{{authorized}}="0"
# What is stored on USB nobody mounts by himself.
ACTION!="remove", SUBSYSTEM=="block", SUBSYSTEMS=="usb", ENV{{UDISKS_IGNORE}}="1", ENV{{UDISKS_AUTO}}="0"
"""
    if storage.removable != "none":
        rules += _HELPED
    if storage.removable == "read-only":
        rules += (
            "# And the kernel writes nothing to it.\n"
            'ACTION!="remove", SUBSYSTEM=="block", SUBSYSTEMS=="usb", '
            f'RUN+="/usr/sbin/blockdev {_SETRO} $devnode"\n'
        )
    return rules


_HELPED = "# A file system on it is read by a helper, which gets this device and no other.\n" + "".join(
    'ACTION!="remove", SUBSYSTEM=="block", SUBSYSTEMS=="usb", '
    f'{found}, ENV{{ID_FS_TYPE}}!="", GROUP="{stick.GROUP}", MODE="0660", SYMLINK+="{stick.LINKS}/%k", '
    f'TAG+="systemd", ENV{{SYSTEMD_WANTS}}+="lab-stick-import@dev-{stick.LINKS}-%k.service"\n'
    for found in ('ENV{DEVTYPE}=="partition"', 'ENV{DEVTYPE}=="disk", ENV{ID_PART_TABLE_TYPE}==""')
)

_MODULES_TEXT = f"{HEAD}install usb-storage /bin/false\ninstall uas /bin/false\n"


def polkit_rule(storage: Storage) -> str:
    """polkit's part: the kiosk user may do nothing for which anybody would be asked.

    But for the smart cards, where they are let in: pcscd asks polkit about each program that comes.
    """
    answer = "polkit.Result.NO"
    if "smart-card" in storage.usb:
        answer = f'action.id.indexOf("{_CARDS}") == 0 ? polkit.Result.YES : {answer}'
    return f"""// {HEAD.removeprefix("# ")}polkit.addRule(function (action, subject) {{
    if (subject.user == "{storage.user}") {{
        return {answer};
    }}
}});
"""


def _effect(storage: Storage, now: FileState | None) -> Effect:
    """Whether the rules open anything that those in place keep closed."""
    text = now.content.decode(errors="replace") if now is not None and now.ours else ""
    before = _LISTED.search(text)
    if before is None:
        return Effect.TIGHTEN
    opens = classes(storage) - set(before[1].split("|"))
    writes = _SETRO in text and storage.removable == "full"
    return Effect.LOOSEN if opens or writes else Effect.TIGHTEN


def _word(reader: Reader, path: str) -> str:
    state = reader.file(path)
    return state.content.decode(errors="replace").strip() if state is not None else ""
