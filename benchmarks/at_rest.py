"""The agent at rest beside node_exporter on the same PC, and beside salt-minion.

One PC whose controller keeps its exchange going as always; node_exporter
scraped every 15 s as Prometheus does; both for the same minutes. CPU is that of
the control groups, ended helpers and all. salt-minion runs on this machine
against a master of its own, both on loopback, and idles.
Goals: at most 2 times node_exporter, memory at most half of salt-minion's.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks import groups, peers
from benchmarks.bench_lab import quiet
from benchmarks.report import Absent, Result
from tests.lab.rig import Machine
from tests.lab.site import Site

WINDOW_S = 180
SCRAPE_S = 15
AGENT = ("lab.slice", "lab-agent.slice")
ENFORCER = (*AGENT, "lab-enforcer.service")
PEER = "peer.slice"
SCRAPE = f"while :; do curl -s -o /dev/null http://127.0.0.1:9100/metrics; sleep {SCRAPE_S}; done"
WAKES_A_MINUTE = 6
"""What an enforcer that does not poll may wake for: a look at the kernel each 30 s, systemd's watchdog each
40 s, and the answer to either."""
SALT_S = 45
"""From its start until salt-minion has found its master, and is at rest."""
_MB = 1e6


def measure(site: Site) -> list[Result | Absent]:
    """Memory and CPU against node_exporter, memory against salt-minion, and how often the enforcer wakes."""
    quiet(site)
    pc = site.pc(1)
    # As after a boot. A PC that was paired today carries what pairing needed until its next one.
    pc.run(["systemctl", "restart", "lab-enforcer.service", "lab-agent.service"])
    quiet(site, 20)
    ours, agent = groups.slice_of(pc, *AGENT), groups.memory_of(pc, *AGENT)
    results: list[Result | Absent] = []
    with _node_exporter(pc) as there:
        peer = there or ours
        time.sleep(2 * SCRAPE_S)
        enforcer = groups.slice_of(pc, *ENFORCER)
        woken = sum(map(groups.voluntary_switches, groups.pids(enforcer)))
        cpu = groups.cpu_s(ours), groups.cpu_s(peer)
        time.sleep(WINDOW_S)
        spent = groups.cpu_s(ours) - cpu[0], groups.cpu_s(peer) - cpu[1]
        woken = sum(map(groups.voluntary_switches, groups.pids(enforcer))) - woken
        if there is None:
            results.append(Absent("at-rest: node_exporter", "Debian's package cannot be fetched here"))
        else:
            results += _against(agent, groups.memory_of(pc, PEER), spent)
    wakes = woken * 60 / WINDOW_S
    detail = f"{wakes:.1f} wakes a minute to {WAKES_A_MINUTE} by timers; no look at a file is polled for"
    results.append(Result("at-rest: the enforcer's wakes", 1, wakes / WAKES_A_MINUTE, detail))
    salt = _salt_minion()
    if salt is None:
        results.append(Absent("at-rest: salt-minion", "it does not run here; measured elsewhere: 79.9 MB"))
    else:
        # The minion runs on this machine, beside nothing that a lab PC has: every page counts for both.
        detail = f"every page that is mapped {agent.distinct / _MB:.1f} MB to {salt.distinct / _MB:.1f} MB"
        ratio = agent.distinct / salt.distinct
        results.append(Result("at-rest: memory to salt-minion", 0.5, ratio, detail))
    return results


def _against(agent: groups.Memory, peer: groups.Memory, spent: tuple[float, float]) -> list[Result]:
    hour = 3600 / WINDOW_S
    size = f"PSS {agent.pss / _MB:.1f} MB to {peer.pss / _MB:.1f} MB; every page that is mapped "
    size += f"{agent.distinct / _MB:.1f} MB to {peer.distinct / _MB:.1f} MB"
    time_ = f"{spent[0] * hour:.2f} s/h to {spent[1] * hour:.2f} s/h over {WINDOW_S} s"
    return [
        Result("at-rest: memory to node_exporter", 2, agent.pss / peer.pss, size),
        Result("at-rest: CPU to node_exporter", 2, spent[0] / spent[1], time_),
    ]


@contextlib.contextmanager
def _node_exporter(pc: Machine) -> Iterator[Path | None]:
    """Debian's node_exporter on the PC, with its defaults, being scraped; gives its control group."""
    tree = peers.debian("prometheus-node-exporter")
    if tree is None:
        yield None
        return
    program = pc.root / "usr/local/bin/prometheus-node-exporter"
    shutil.copy2(tree / "usr/bin/prometheus-node-exporter", program)
    unit = ["systemd-run", "-q", f"--slice={PEER}", "--unit=peer", "/usr/local/bin/prometheus-node-exporter"]
    pc.run(["systemctl", "stop", "peer.service"], check=False)
    pc.run([*unit, "--web.listen-address=127.0.0.1:9100"])
    try:
        with pc.popen(["sh", "-c", SCRAPE]):
            yield groups.slice_of(pc, PEER)
    finally:
        pc.run(["systemctl", "stop", "peer.service"], check=False)
        program.unlink()


def _salt_minion() -> groups.Memory | None:
    """The memory of an idle minion, all its processes, by its master accepted."""
    bin_directory = peers.venv("salt", peers.SALT)
    if bin_directory is None:
        return None
    home = peers.PEERS / "salt-run"
    shutil.rmtree(home, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_salt(bin_directory, home, name)) for name in ("master", "minion")]
        end = time.monotonic() + SALT_S
        accepted = home / "master/pki/master/minions/bench"
        while time.monotonic() < end:
            if any(process.poll() is not None for process in started):
                return None
            time.sleep(1)
        if not accepted.exists():
            return None
        minion = psutil.Process(started[1].pid)
        return groups.memory([minion.pid, *(child.pid for child in minion.children(recursive=True))])


@contextlib.contextmanager
def _salt(bin_directory: Path, home: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    root = home / name
    (root / "etc").mkdir(parents=True)
    (root / "etc" / name).write_text(
        f"root_dir: {root}\npki_dir: {root}/pki/{name}\nsock_dir: {root}/run\ncachedir: {root}/cache\n"
        f"log_file: {root}/log\nuser: root\ninterface: 127.0.0.1\nauto_accept: true\nworker_threads: 2\n"
        "publish_port: 14505\nret_port: 14506\nmaster: 127.0.0.1\nmaster_port: 14506\nid: bench\n"
    )
    argv = [str(bin_directory / f"salt-{name}"), "-c", str(root / "etc"), "--disable-keepalive"]
    if name == "master":
        argv.pop()
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()
