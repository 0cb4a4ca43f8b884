"""Whether a program on a PC's screen has a chord of keys for itself, as the X server says.

A chord can be grabbed once only, so it is tried. While it is, no other program
is served: a window manager that starts at that moment would be refused the
chord, and would go without it until its end.
"""

from __future__ import annotations

from typing import Final

from tests.lab.rig import Machine

SCREEN: Final = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
SHIFT, CONTROL, ALT = 1, 4, 8
"""Modifiers, to be added up."""
TAKEN, FREE = "taken", "free"

_TRY = """
import ctypes, sys
class Error(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("display", ctypes.c_void_p), ("resource", ctypes.c_ulong),
                ("serial", ctypes.c_ulong), ("code", ctypes.c_ubyte)]
x = ctypes.CDLL("libX11.so.6")
for name, returns in (("XOpenDisplay", ctypes.c_void_p), ("XDefaultRootWindow", ctypes.c_ulong),
                      ("XStringToKeysym", ctypes.c_ulong), ("XKeysymToKeycode", ctypes.c_ubyte)):
    getattr(x, name).restype = returns
errors = []
handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Error))(
    lambda _display, error: errors.append(error.contents.code) or 0)
x.XSetErrorHandler(handler)
display = ctypes.c_void_p(x.XOpenDisplay(None))
if not display:
    sys.exit("no screen")
root = ctypes.c_ulong(x.XDefaultRootWindow(display))
code = ctypes.c_int(x.XKeysymToKeycode(display, ctypes.c_ulong(x.XStringToKeysym(sys.argv[1].encode()))))
if not code.value:
    sys.exit("no such key on this keyboard")
held = ctypes.c_uint(int(sys.argv[2]))
x.XGrabServer(display)
x.XGrabKey(display, code, held, root, 0, 1, 1)
x.XSync(display, 0)
if not errors:
    x.XUngrabKey(display, code, held, root)
x.XUngrabServer(display)
x.XSync(display, 0)
if errors and errors != [10]:
    sys.exit(f"X errors {errors}")
print("taken" if errors else "free")
"""
"""10 is BadAccess: another program has it. A keycode of 0 would stand for any key."""


def chord(machine: Machine, modifiers: int, key: str) -> str:
    """TAKEN, FREE, or why that cannot be told now; `key` by its X name."""
    asked = ["/usr/bin/python3", "-c", _TRY, key, str(modifiers)]
    done = machine.run(asked, check=False, env=SCREEN)
    return done.stdout.strip() or f"{done.returncode}: {' '.join(done.stderr.split())[-200:]}"
