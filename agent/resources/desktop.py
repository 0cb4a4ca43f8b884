"""The kiosk's desktop: openbox without ways out, and an X server that cannot be left.

What each line is for was found by experiment with openbox 3.6 and Xorg of
Debian 12: empty contexts leave no menu and no gesture; an empty keybind is
ignored, but one whose action does nothing swallows the chord; the top margin
keeps the session bar's strip even when the bar has died.

In force means: openbox has read its file since it changed (`loaded`, as in the
time kind). Xorg reads its own when it starts, which it does after each session.
"""

from agent.core.changes import Effect, Owned, Plan, Reader, Run
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from agent.core.units import DESKTOP_UNIT, SLICE
from contract.desired import Desktop, Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "desktop"
OPENBOX = "/etc/lab-agent/openbox/rc.xml"
XORG = "/etc/X11/xorg.conf.d/90-lab.conf"

_RELOAD = Run(argv=("systemctl", "reload", DESKTOP_UNIT))


class Observed(Message, frozen=True):
    """The two files, and whether openbox runs."""

    files: Found
    running: bool


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while it is not managed."""
    managed = wanted.desktop is not None or bool(owned)
    return Observed(
        files=observe_files((OPENBOX, XORG), owned, reader),
        running=managed and reader.running(f"{SLICE}/{DESKTOP_UNIT}"),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """Both files as the section says; neither without a section."""
    planner = FilePlanner(NAME, observed.files, owned)
    # Where it does not run it reads the file when it starts.
    tell = (_RELOAD,) if observed.running else ()
    if wanted.desktop is None:
        out = sentence("the lab no longer manages the desktop")
        return (
            *planner.release(XORG, Effect.LOOSEN, out),
            *planner.release_and_tell((OPENBOX,), Effect.LOOSEN, (), out),
            *planner.tidy(()),
        )
    rc = FileWish(path=OPENBOX, content=openbox_rc(wanted.desktop).encode())
    unread = sentence("the window manager has not read it yet")
    return (
        *planner.put_and_tell((rc,), Effect.TIGHTEN, tell, unread),
        *planner.put(FileWish(path=XORG, content=xorg_conf(wanted.desktop).encode()), Effect.TIGHTEN),
        *planner.tidy((OPENBOX, XORG)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """Both files."""
    return () if wanted.desktop is None else (OPENBOX, XORG)


def openbox_rc(desktop: Desktop) -> str:
    """openbox's configuration. Chords are checked by the contract: no character needs escaping."""
    swallow = "\n".join(
        f'  <keybind key="{chord}"><action name="If"><then/></action></keybind>'
        for chord in sorted(set(desktop.swallowed_keys))
    )
    focus = "\n".join(
        f'   <mousebind button="{button}" action="Press"><action name="Focus"/></mousebind>'
        for button in ("Left", "Middle", "Right")
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by lab-agent; what is changed here is put back. -->
<openbox_config xmlns="http://openbox.org/3.4/rc">
 <focus><focusNew>yes</focusNew><followMouse>no</followMouse><focusLast>yes</focusLast></focus>
 <placement><policy>Smart</policy><center>yes</center></placement>
 <theme><name>Clearlooks</name><titleLayout>L</titleLayout><keepBorder>no</keepBorder></theme>
 <desktops><number>1</number><firstdesk>1</firstdesk><popupTime>0</popupTime></desktops>
 <resize><drawContents>no</drawContents><popupShow>Never</popupShow></resize>
 <margins><top>{desktop.bar_height}</top><bottom>0</bottom><left>0</left><right>0</right></margins>
 <keyboard>
  <rebindOnMappingNotify>no</rebindOnMappingNotify>
{swallow}
 </keyboard>
 <mouse>
  <context name="Client">
{focus}
  </context>
  <context name="Root"></context><context name="Desktop"></context><context name="Frame"></context>
 </mouse>
 <menu><showIcons>no</showIcons></menu>
 <applications>
  <application class="Chromium*" type="normal">
   <decor>no</decor><focus>yes</focus><desktop>1</desktop><layer>normal</layer>
   <maximized>true</maximized><fullscreen>no</fullscreen>
  </application>
  <application type="dialog"><decor>no</decor><layer>normal</layer></application>
 </applications>
</openbox_config>
"""


def xorg_conf(desktop: Desktop) -> str:
    """Xorg's part: no way to a text console, no killing of the server, blanking in minutes."""
    blank = -(-desktop.screen_blank_s // 60)
    return f"""# Written by lab-agent; what is changed here is put back.
Section "ServerFlags"
    Option "DontVTSwitch" "true"
    Option "DontZap" "true"
    Option "DontZoom" "true"
    Option "AllowMouseOpenFail" "true"
    Option "BlankTime" "{blank}"
    Option "StandbyTime" "{blank}"
    Option "SuspendTime" "0"
    Option "OffTime" "0"
EndSection
"""
