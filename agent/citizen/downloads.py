"""The folder for downloads, watched for those that the browser refuses (agent.citizen.refusals)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio  # noqa: E402  # the version is said first

from agent.citizen.refusals import Refusals  # noqa: E402

FOLDER = "/run/lab-files/export"
"""What a session has for Downloads (systemd/lab-files.service)."""


class Downloads:
    """The folder, watched by the kernel (inotify, through GIO). `refused` is called for each refusal."""

    def __init__(self, folder: str, refused: Callable[[], None]) -> None:
        self._folder = Path(folder)
        self._refused = refused
        self._which: tuple[int, int] | None = None
        self._monitor: Any = None
        self._refusals = Refusals()

    def follow(self) -> None:
        """Watch the folder that is there now: each start of a browser has one of its own."""
        try:
            found = self._folder.stat()
            which = found.st_dev, found.st_ino
        except OSError:
            which = None
        if which == self._which:
            return
        if self._monitor is not None:
            self._monitor.cancel()
        self._which, self._monitor, self._refusals = which, None, Refusals()
        if which is None:
            return
        folder = Gio.File.new_for_path(str(self._folder))
        self._monitor = folder.monitor_directory(Gio.FileMonitorFlags.WATCH_MOVES, None)
        self._monitor.connect("changed", self._on_change)

    def _on_change(self, _monitor: Any, file: Any, _other: Any, event: Any) -> None:
        name, kinds = file.get_basename(), Gio.FileMonitorEvent
        if event == kinds.CREATED:
            self._refusals.appeared(name)
        elif event in (kinds.RENAMED, kinds.MOVED_OUT):
            self._refusals.named(name)
        elif event == kinds.DELETED and self._refusals.deleted(name):
            self._refused()
