"""The lab by hand: python3 -m tests.lab.rig --help."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

from tests.lab.rig import base
from tests.lab.rig.host import RigError, program, say
from tests.lab.rig.lab import DEFAULT_DIRECTORY, DEFAULT_NET, DEFAULT_PREFIX, PCS, Lab

_EPILOG = """A machine is `server` or `pc-01` .. `pc-99`. A lab remembers its names in its directory, so
only `up` needs --prefix and --net. Everything lives in namespaces of its own; the host's network and
systemd stay untouched."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.lab.rig",
        description="A LAN of real-systemd Debian PCs on this machine (needs root).",
        epilog=_EPILOG,
    )
    directory = Path(os.environ.get("PUBLICLAB_LAB", DEFAULT_DIRECTORY))
    parser.add_argument("--dir", type=Path, default=directory, help=f"the lab's directory ({directory})")
    parser.add_argument("--prefix", help=f"name prefix of a new lab ({DEFAULT_PREFIX})")
    parser.add_argument("--net", help=f"first three numbers of a new lab's network ({DEFAULT_NET})")
    parser.add_argument("--bases", type=Path, default=base.DEFAULT_BASES, help="where the base trees are")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add = commands.add_parser("build", help="make the base trees (once; about a minute each)")
    add.add_argument("release", nargs="*", help=f"which ({', '.join(base.RELEASES)}; default the first)")
    add.add_argument("--force", action="store_true", help="make them anew")
    add = commands.add_parser("up", help="start the server and the PCs; repeat it as you like")
    add.add_argument("pcs", nargs="?", type=int, default=PCS, help=f"how many PCs ({PCS})")
    add.add_argument(
        "--layer", action="append", metavar="RELEASE=DIR", help="stack a directory over all PCs of a release"
    )
    add = commands.add_parser("start", help="start one machine")
    add.add_argument("machine")
    add.add_argument("--release", help="its Debian release, if not the lab's")
    add.add_argument("--disk", default="2G", help="size of its disk (2G)")
    add.add_argument("--memory", default="", help="cap on its memory, e.g. 4G")
    add.add_argument("--cpus", default="", help="the host's processors that it runs on, e.g. 0")
    add = commands.add_parser("down", help="remove the lab; the base trees stay")
    add.add_argument("--keep-disks", action="store_true", help="the machines' disks stay too")
    commands.add_parser("clean", help="remove the lab and the base trees")
    commands.add_parser("status", help="which machines there are")
    commands.add_parser("wake", help="switch machines on by magic packet, until interrupted")
    for name, text in (
        ("exec", "run a command inside a machine"),
        ("net", "run a host program in its network"),
    ):
        add = commands.add_parser(name, help=text)
        if name == "exec":
            add.add_argument("--user", help="as this user instead of root")
        add.add_argument("machine", help="" if name == "exec" else "a machine, or lan for the bridge")
        add.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    for name, text in (
        ("shell", "a root shell inside"),
        ("crash", "cut the power"),
        ("reboot", "restart in order"),
        ("poweroff", "shut down in order"),
        ("poweron", "switch on"),
        ("heal", "undo all network faults"),
        ("root", "print the host path of its running root directory"),
        ("remove", "take it out of the lab, disk and all"),
    ):
        commands.add_parser(name, help=text).add_argument("machine")
    add = commands.add_parser("cut", help="pull the cable (or see the options)")
    add.add_argument("machine")
    add.add_argument("--drop", action="store_true", help="leave the carrier, lose the packets")
    add.add_argument("--from", dest="peer", help="only what passes between it and this machine")
    add = commands.add_parser("loss", help="lose packets at random")
    add.add_argument("machine")
    add.add_argument("percent", type=int)
    add = commands.add_parser("delay", help="slow the network down")
    add.add_argument("machine")
    add.add_argument("ms", type=float)
    add.add_argument("jitter_ms", type=float, nargs="?", default=0)
    return parser


def _lab(args: argparse.Namespace) -> Lab:
    layers = dict(given.split("=", 1) for given in getattr(args, "layer", None) or [])
    if args.prefix or args.net or layers:
        return Lab(
            args.prefix or DEFAULT_PREFIX,
            args.net or DEFAULT_NET,
            args.dir.absolute(),
            app_layers={release: Path(path).absolute() for release, path in layers.items()},
            bases=args.bases,
        )
    return Lab.at(args.dir.absolute(), bases=args.bases)


def _whole_lab(args: argparse.Namespace) -> None:
    """The commands that are about no single machine."""
    if args.command == "build":
        for release in args.release or [base.RELEASES[0]]:
            print(base.build(release, args.bases, force=args.force).tree)
        return
    lab = _lab(args)
    if args.command == "up":
        base.build(lab.release, args.bases)
        started = time.monotonic()
        machines = lab.up(args.pcs)
        say(f"{len(machines)} machines are up: {time.monotonic() - started:.1f} s")
    elif args.command in ("down", "clean"):
        lab.down(keep_disks=args.command == "down" and args.keep_disks)
        if args.command == "clean":
            base.clean(args.bases)
    elif args.command == "wake":
        with lab.wake_on_lan(), contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    else:
        for machine in lab.machines():
            spec, init = machine.spec, machine.init()
            state = f"on, PID 1 is {init}" if init else "off"
            print(f"{machine.name:8} {machine.address:15} {machine.mac}  {spec.release:9} {state}")


def _one_machine(args: argparse.Namespace) -> None:
    """The commands that are about one machine."""
    lab, name = _lab(args), args.machine
    match args.command:
        case "start":
            base.build(args.release or lab.release, args.bases)
            lab.start(name, release=args.release, disk=args.disk, memory=args.memory, cpus=args.cpus)
        case "exec":
            lab.machine(name).become(args.argv, user=args.user)
        case "shell":
            lab.machine(name).become(["/bin/bash", "-l"])
        case "net":
            argv = lab.network.inside(name, args.argv)
            os.execv(argv[0], argv)
        case "root":
            print(lab.machine(name).root)
        case "cut" if args.peer:
            lab.part(name, args.peer)
        case "cut" if args.drop:
            lab.drop(name)
        case "cut":
            lab.cut(name)
        case "loss":
            lab.loss(name, args.percent)
        case "delay":
            lab.delay(name, args.ms, args.jitter_ms)
        case "heal":
            lab.heal(name)
        case "remove":
            lab.remove(name)
        case command:  # crash, reboot, poweroff, poweron
            getattr(lab.machine(name), command)()


def main() -> int:
    """Run one command; 0 done, 1 failed, 2 wrong usage."""
    args = _parser().parse_args()
    if args.command in ("exec", "net") and not args.argv:
        print(f"what shall {args.machine} run? {args.command} {args.machine} CMD...", file=sys.stderr)
        return 2
    try:
        (_one_machine if hasattr(args, "machine") else _whole_lab)(args)
    except RigError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    program("python3")
    sys.exit(main())
