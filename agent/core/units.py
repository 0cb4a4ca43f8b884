"""The systemd units that a citizen sits at, by name: several rooms start, stop and look at them."""

SLICE = "lab.slice/lab-kiosk.slice"
"""Their control group, below which each has one of its own name."""

SCREEN_UNIT = "lab-screen.service"
DESKTOP_UNIT = "lab-desktop.service"
BAR_UNIT = "lab-bar.service"
SESSION_UNIT = "lab-session.service"
SHUTDOWN_UNIT = "lab-shutdown.service"


def processes(unit: str) -> str:
    """The file in which the kernel says whether a unit of the slice has a process; it can be watched."""
    return f"/sys/fs/cgroup/{SLICE}/{unit}/cgroup.events"
