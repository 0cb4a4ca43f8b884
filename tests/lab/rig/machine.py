"""One PC of the lab: power, commands inside, and where to find it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.lab.rig.cgroups import Group, inner_pid
from tests.lab.rig.host import CommandFailed, RigError, lock, run_host, wait_until
from tests.lab.rig.inside import Inside, command, finish
from tests.lab.rig.launch import attached_disks, freeze_disk, launch
from tests.lab.rig.network import Nic, mac_of, number_of
from tests.lab.rig.spec import Site, Spec

_BOOTED = ("running", "degraded")


class Machine:
    """A PC (or the server) that has been started at least once. Get one from a Lab.

    Any number of Machine objects, in any process, may stand for the same PC: all state is the kernel's or
    on disk.
    """

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.directory = site.machines / name
        self._group = Group(f"{site.group}/{name}")

    def __repr__(self) -> str:
        return f"<Machine {self.name} of lab {self.site.prefix}>"

    @property
    def spec(self) -> Spec:
        """What the machine is made of. Raises RigError when it was never started."""
        try:
            return Spec.load(self.directory / "machine.json")
        except FileNotFoundError:
            raise RigError(f"no such machine in this lab: {self.name} (see status)") from None

    @property
    def address(self) -> str:
        """IPv4 address of the first card."""
        return next(nic.address for nic in self.spec.nics if nic.name == "eth0")

    @property
    def mac(self) -> str:
        """Hardware address of the first card, also when the machine is off."""
        return mac_of(self.name)

    @property
    def log(self) -> Path:
        """What the machine's console and its supervisor printed, all boots one after the other."""
        return self.directory / "console.log"

    # -- state

    def init(self) -> int:
        """Host id of the machine's PID 1, or 0 when it is off."""
        payload = f"{self._group.relative}/payload"
        for group in (Group(f"{payload}/init.scope"), Group(payload)):
            for pid in group.pids():
                if inner_pid(pid) == 1:
                    return pid
        return 0

    @property
    def is_up(self) -> bool:
        """Whether the machine has power and a living PID 1."""
        return self.init() != 0

    def _needed_init(self) -> int:
        pid = self.init()
        if pid == 0:
            raise RigError(f"{self.name} is off: power it on first (its console: {self.log})")
        return pid

    @property
    def root(self) -> Path:
        """Host path of the running machine's root directory; another after each boot. RigError when off."""
        return Path(f"/proc/{self._needed_init()}/root")

    def wait_running(self, timeout: float = 90) -> str:
        """Wait for the end of the boot; gives systemd's verdict, "running" or "degraded".

        Raises RigError after `timeout` seconds, or as soon as the machine turns out to have stopped.
        """
        state = ""

        def booted() -> bool:
            nonlocal state
            init = self.init()
            if init and Path(f"/proc/{init}/root/run/systemd/private").exists():
                with contextlib.suppress(RigError, subprocess.TimeoutExpired):
                    asked = self.run(
                        ["systemctl", "is-system-running", "--wait"], check=False, timeout=timeout
                    )
                    state = asked.stdout.strip()
            elif not init and not self._group.populated:
                raise RigError(f"{self.name} stopped while booting: {self._last_words()}")
            return state in _BOOTED

        if not wait_until(booted, timeout=timeout, every=0.05):
            raise RigError(f"{self.name} did not come up in {timeout:.0f} s ({state}): {self._last_words()}")
        return state

    def failed_units(self) -> list[str]:
        """Names of the units systemd counts as failed."""
        listed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).stdout
        return [line.split()[0] for line in listed.splitlines() if line.strip()]

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " / ".join(lines[-5:]) or "its console is empty"

    # -- commands inside

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,
        timeout: float = 60,
        check: bool = True,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as `user`, and wait for it; output as text.

        Raises CommandFailed on a non-zero status unless `check` is off, subprocess.TimeoutExpired after
        `timeout` seconds (all the command started is then ended), RigError when the machine is off.
        """
        data = input.encode() if isinstance(input, str) else input
        done = self.run_bytes(argv, input=data, timeout=timeout, check=check, user=user, env=env)
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def run_bytes(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout: float = 60,
        check: bool = True,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """`run` for output that is not text, such as a picture of the screen."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.popen(argv, user=user, env=env, stdin=stdin)
        return finish(self.name, process, argv, input, timeout, check=check)

    def popen(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        stderr: int | IO[bytes] | None = subprocess.PIPE,
    ) -> Inside:
        """Start a command inside and return at once. Use it in a with block: leaving it ends the command."""
        group, host_argv, host_env = self._command(argv, user, env)
        return Inside(host_argv, host_env, group, stdin=stdin, stdout=stdout, stderr=stderr)

    def become(self, argv: Sequence[str], *, user: str | None = None) -> None:
        """Replace this very process by a command inside, on the terminal it has (for the command line)."""
        _, host_argv, host_env = self._command(argv, user, None)
        os.execvpe(host_argv[0], host_argv, host_env)

    def _command(
        self, argv: Sequence[str], user: str | None, env: Mapping[str, str] | None
    ) -> tuple[Group, list[str], dict[str, str]]:
        init = self._needed_init()
        # below the machine's own group, so that a power cut takes the command too
        child = f"payload/rig-{uuid.uuid4().hex[:12]}"
        group = Group(f"{self._group.relative}/{child}")
        with contextlib.suppress(FileNotFoundError):  # it has just gone down: joining the group will say so
            group.path.mkdir()
        return group, *command(init, self._group.join_files(child), argv, user, env)

    def successor(self, unit: str, before: int, timeout: float = 30) -> int:
        """Host id of the main process of a unit that came after `before` died. RigError when none comes."""
        end = time.monotonic() + timeout
        while True:
            with contextlib.suppress(RigError):  # none just now
                if (pid := self.pid_of(unit)) != before:
                    return pid
            if time.monotonic() > end:
                raise RigError(f"{unit} on {self.name} did not come back within {timeout:.0f} s")
            time.sleep(0.1)

    def pid_of(self, unit: str) -> int:
        """Host id of the main process of a unit: kill it, or read its /proc. RigError when it has none."""
        shown = self.run(["systemctl", "show", unit, "--property=MainPID,ControlGroup"]).stdout
        values = dict(line.split("=", 1) for line in shown.splitlines())
        inner = int(values["MainPID"])
        for group in Group(f"{self._group.relative}/payload{values['ControlGroup']}").below():
            for pid in group.pids():
                if inner and inner_pid(pid) == inner:
                    return pid
        raise RigError(f"{unit} on {self.name} has no main process")

    def memory_used(self) -> int:
        """Bytes of memory charged to the machine, page cache included."""
        return self._group.memory_used()

    # -- its network, seen from the host

    def net_run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a host program in the machine's network (it need not be on). Raises as `run` does."""
        inside = self.site.network.inside(self.name, argv)
        return run_host(inside, check=check, timeout=timeout, input=input)

    def network(self) -> contextlib.AbstractContextManager[None]:
        """A with block in which this thread's new sockets are in the machine's network."""
        return self.site.network.here(self.name)

    def add_nic(self, name: str, net: str, address: str | None = None) -> Nic:
        """Put in another card ("eth1", ...), plugged into the network `net` (10.79.0), which is made at
        need.

        Its address is by default the one with the machine's own last number there.
        """
        card = int(name.removeprefix("eth"))
        address = address or f"{net}.{number_of(self.name)}"
        nic = Nic(name, self.site.network.bridge_of(net), address, mac_of(self.name, card))
        self.site.network.make_ports(self.name, [nic])
        self.spec.with_nic(nic).save(self.directory / "machine.json")
        return nic

    def remove_nic(self, name: str) -> None:
        """Take a card out."""
        self.site.network.unplug(self.name, self.nic(name))
        self.spec.without_nic(name).save(self.directory / "machine.json")

    def nic(self, name: str = "eth0") -> Nic:
        """One of the machine's cards. Raises RigError when there is none of that name."""
        for nic in self.spec.nics:
            if nic.name == name:
                return nic
        raise RigError(f"{self.name} has no network card {name}")

    def set_address(self, address: str, nic: str = "eth0") -> None:
        """Give a card another address at once, as a new DHCP lease would."""
        card = self.nic(nic)
        self.site.network.set_address(self.name, card, address)
        changed = Nic(card.name, card.bridge, address, card.mac)
        self.spec.with_nic(changed).save(self.directory / "machine.json")

    # -- power

    def poweron(self, timeout: float = 90) -> str:
        """Switch on, unless it is on, and wait for the end of the boot; returns as wait_running."""
        self.switch_on()
        return self.wait_running(timeout)

    def switch_on(self) -> None:
        """Press the power button and return at once. Nothing happens when the machine is on."""
        with lock(self.directory / "lock"):
            if not self._group.populated:
                self._launch()

    def _launch(self) -> None:
        spec = self.spec
        if attached_disks(self.directory):
            raise RigError(f"the disk of {self.name} is still in use: take the lab down")
        self.site.network.make_ports(self.name, spec.nics)
        launch(self.site, spec, self._group, self.log)
        if not wait_until(lambda: self._group.populated, timeout=10, every=0.005):
            raise RigError(f"{self.name} did not start: {self._last_words()}")

    def crash(self, *, lose_unsynced: bool = True) -> None:
        """Cut the power: everything ends at once, and what was written but not synced to disk is lost.

        The machine stays off. With `lose_unsynced` off the disk keeps all that was ever written to it.
        """
        with lock(self.directory / "lock"):
            if lose_unsynced:
                for pid in Group(f"{self._group.relative}/launcher").pids():
                    freeze_disk(pid, self.directory)
            self._group.kill()
            self._wait_off(30)

    def poweroff(self, timeout: float = 60) -> None:
        """Shut down in order and wait until the machine is off. Raises RigError after `timeout` seconds."""
        if self.is_up:
            with contextlib.suppress(CommandFailed):  # the command is a victim of its own success
                self.run(["systemctl", "poweroff"])
        self._wait_off(timeout)

    def _wait_off(self, timeout: float) -> None:
        if not wait_until(
            lambda: not self._group.populated and not attached_disks(self.directory), timeout=timeout
        ):
            raise RigError(f"{self.name} is not off after {timeout:.0f} s: {self._last_words()}")

    def reboot(self, timeout: float = 90) -> str:
        """Restart in order and wait for the end of the boot; returns as wait_running."""
        before = self._needed_init()
        with contextlib.suppress(CommandFailed):
            self.run(["systemctl", "reboot"])
        if not wait_until(lambda: self.init() not in (before, 0), timeout=timeout):
            raise RigError(f"{self.name} did not restart in {timeout:.0f} s: {self._last_words()}")
        return self.wait_running(timeout)

    def sync(self) -> None:
        """Have everything written so far reach the disk, so that a power cut cannot take it."""
        self.run(["sync", "-f", "/"])

    def discard(self) -> None:
        """Take power, disk and network away for good (see Lab.remove)."""
        self._group.kill()
        self._wait_off(30)
        self._group.remove()
        self.site.network.remove(self.name)
        shutil.rmtree(self.directory)
