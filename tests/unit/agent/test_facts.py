"""Facts read from this very machine, against what the kernel says elsewhere."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.disks import sayable
from agent.facts import FactsReader, read_hardware
from contract.status import Facts
from contract.wire import decode, encode

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader() -> FactsReader:
    return FactsReader(pwd.getpwuid(os.getuid()).pw_name)


@pytest.fixture(scope="module")
def facts(reader: FactsReader) -> Facts:
    return reader.read(NOW, -1.5, None)


def test_they_fit_the_contract(facts: Facts) -> None:
    assert decode(Facts, encode(facts)) == facts
    assert facts.at == NOW
    assert facts.clock_skew_s == -1.5


def test_a_name_that_is_no_text_can_be_said_all_the_same() -> None:
    """As the system gives a mount point with bytes that are not UTF-8."""
    assert decode(str, encode(sayable(os.fsdecode(b"/media/caf\xe9")))) == "/media/caf?"
    assert sayable("/media/perché") == "/media/perché"


def test_figures_are_in_range(facts: Facts) -> None:
    assert 0 <= facts.cpu <= 1
    assert 0 < facts.memory_available <= facts.memory_total == facts.hardware.memory
    assert facts.uptime_s > 0
    assert all(0 <= disk.free <= disk.total for disk in facts.disks)


def test_the_root_file_system_is_listed_once(facts: Facts) -> None:
    assert facts.disks[0].mount == "/"
    usage = os.statvfs("/")
    assert facts.disks[0].total == usage.f_blocks * usage.f_frsize
    assert len({disk.mount for disk in facts.disks}) == len(facts.disks)


def test_network_cards_are_those_of_the_kernel_without_loopback(facts: Facts) -> None:
    names = {nic.name for nic in facts.nics}
    assert names == {path.name for path in Path("/sys/class/net").iterdir()} - {"lo"}
    for nic in facts.nics:
        assert nic.mac == Path("/sys/class/net", nic.name, "address").read_text().strip()


def test_own_processes_show_a_name_and_a_size_and_never_an_argument(reader: FactsReader) -> None:
    """A long name is where psutil would complete it from the arguments."""
    secret = "/tmp/a-name-that-is-long-and-a-secret-in-it"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", secret)
    child = subprocess.Popen([secret, "30"])
    try:
        time.sleep(0.2)
        kiosk = {process.pid: process for process in reader.read(NOW, None, None).kiosk}
        if child.pid not in kiosk:
            assert len(kiosk) == 256, "only the limit may leave a process out"
            pytest.skip("this user has more processes than are listed")
        assert kiosk[child.pid].name == "a-name-that-is-"
        assert kiosk[child.pid].rss > 0
    finally:
        child.kill()
        child.wait()
        Path(secret).unlink()


def test_no_kiosk_user_no_processes() -> None:
    assert FactsReader("no-such-user").read(NOW, None, None).kiosk == ()


def test_the_footprint_counts_both_halves(reader: FactsReader) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; x = bytearray(30 << 20); time.sleep(60)"])
    try:
        alone = reader.read(NOW, None, None).footprint
        end = time.monotonic() + 20
        while reader.read(NOW, None, child.pid).footprint.rss - alone.rss < 25 << 20:
            assert time.monotonic() < end, "the other half is not counted"
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    assert reader.read(NOW, None, child.pid).footprint.rss > 0, "a half that is gone is no error"


def test_hardware_from_the_firmware_and_blanks_left_out(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "sys_vendor").write_text("Officine Esempio\n")
    (dmi / "product_name").write_text("To Be Filled By O.E.M.\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Some   CPU @ 3 GHz\n")
    found = read_hardware(tmp_path, 123)
    assert (found.vendor, found.model, found.serial) == ("Officine Esempio", "", "")
    assert found.os == "Debian GNU/Linux 12 (bookworm)"
    assert found.cpu == "Some CPU @ 3 GHz"
    assert found.memory == 123
    assert found.cores >= 1


def test_hardware_where_nothing_can_be_read(tmp_path: Path) -> None:
    found = read_hardware(tmp_path, 1)
    assert (found.vendor, found.os) == ("", "")
    assert found.cpu == os.uname().machine
