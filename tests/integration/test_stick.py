"""A citizen's stick, read and written in user space: good ones, broken ones and made ones.

Images in files, by the very programs that a PC uses. Nothing here mounts anything.
"""

from __future__ import annotations

import random
import stat
import struct
import time
from pathlib import Path

import msgspec
import pytest

from agent.core import stick
from agent.core.stick import HEAD_BYTES, Report, Rules, agrees, clean_name, kind_of, told
from agent.helpers.media import Unreadable, open_medium
from agent.helpers.stick import cut_short, give_out, read_back, run, stage, take_in
from contract.desired import Storage
from contract.wire import decode
from tests.integration.images import FatImage, NtfsImage, needs_programs

pytestmark = [needs_programs, pytest.mark.timeout(300)]

PDF = b"%PDF-1.4\nistanza\n" + bytes(range(256)) * 20
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 300
RULES = Rules(
    documents=stick.rules(Storage()).documents, max_documents=20, max_document_bytes=200_000, export=True
)


class Desk:
    """Where one import or export happens, and what came of it."""

    def __init__(self, place: Path) -> None:
        self.into, self.work, self.staged = (place / name for name in ("import", "work", "staged"))
        self.saved = place / "export"
        self.report = place / "report.json"
        for folder in (self.into, self.work, self.saved, self.staged):
            folder.mkdir()

    def take_in(self, source: Path, rules: Rules = RULES, seconds: float = 100) -> Report:
        """Import; what must hold whatever is on the stick is checked."""
        until = time.monotonic() + seconds
        said = run(
            Report(way="import", phase="working", device=str(source)),
            self.report,
            lambda tell: take_in(source, self.into, work=self.work, rules=rules, tell=tell, until=until),
        )
        self._holds(said, rules)
        return said

    def give_out(self, source: Path, rules: Rules = RULES) -> Report:
        """Stage and export."""
        stage(self.saved, self.staged, rules, 1 << 20)
        until = time.monotonic() + 100
        return run(
            Report(way="export", phase="working", device=str(source)),
            self.report,
            lambda tell: give_out(source, self.staged, work=self.work, rules=rules, tell=tell, until=until),
        )

    def documents(self) -> dict[str, bytes]:
        """What the session was given, by path."""
        return {
            str(path.relative_to(self.into)): path.read_bytes()
            for path in self.into.rglob("*")
            if path.is_file()
        }

    def _holds(self, said: Report, rules: Rules) -> None:
        found = list(self.into.rglob("*"))
        for path in found:
            about = path.lstat()
            assert stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode)
            assert clean_name(path.name) == path.name
            if stat.S_ISREG(about.st_mode):
                assert stat.S_IMODE(about.st_mode) == 0o440
                assert about.st_size <= rules.max_document_bytes
                kind = kind_of(path.name, rules.documents)
                assert kind is not None
                assert agrees(kind, path.read_bytes()[:HEAD_BYTES])
        assert said.phase == "ended"
        assert said.done == len(self.documents()) <= rules.max_documents
        assert decode(Report, self.report.read_bytes()) == said
        assert str(told(said)).endswith(".")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(params=[12, 16, 32])
def fat(tmp_path: Path, request: pytest.FixtureRequest) -> FatImage:
    bits: int = request.param
    return FatImage(tmp_path / "stick.img", {12: 1, 16: 8, 32: 40}[bits], bits)


def test_documents_come_in_and_nothing_else(desk: Desk, fat: FatImage) -> None:
    fat.put("istanza[1].pdf", PDF)
    fat.put("programma.exe", b"MZ" + b"\0" * 200)
    fat.put("pagina.html", b"<html>")
    fat.put("falso.pdf", b"\x7fELF" + b"\0" * 200)
    fat.folder("Pratica àèì 日本")
    fat.put("Pratica àèì 日本/pianta.png", PNG)
    fat.folder("System Volume Information")
    fat.put("System Volume Information/nota.txt", b"di Windows")
    said = desk.take_in(fat.path)
    assert desk.documents() == {"istanza(1).pdf": PDF, "Pratica àèì 日本/pianta.png": PNG}
    assert said.left == {"kind": 2, "false": 1}
    assert str(told(said)) == (
        "Documents read from your stick: 2. Left out: 3 (only documents are taken)."
        " You can take the stick out."
    )


def test_documents_come_in_from_ntfs(desk: Desk, tmp_path: Path) -> None:
    image = NtfsImage(tmp_path / "stick.img")
    image.put("Dichiarazione è [1].pdf", PDF)
    image.put("due\nrighe.pdf", PDF)
    image.put("programma.exe", b"MZ")
    said = desk.take_in(image.path)
    assert desk.documents()["Dichiarazione è (1).pdf"] == PDF
    assert said.left["kind"] >= 1


def test_size_and_number_are_limited(desk: Desk, tmp_path: Path) -> None:
    fat = FatImage(tmp_path / "stick.img")
    fat.put("grande.pdf", b"%PDF-" + b"\0" * RULES.max_document_bytes)
    fat.put("giusto.pdf", b"%PDF-" + b"\0" * (RULES.max_document_bytes - 5))
    for number in range(RULES.max_documents + 3):
        fat.put(f"nota {number}.txt", b"una riga\n")
    said = desk.take_in(fat.path)
    assert said.done == RULES.max_documents
    assert said.left == {"large": 1, "many": 4}


@pytest.mark.parametrize("kind", ["fat", "ntfs"])
def test_documents_are_saved_beside_what_is_there(desk: Desk, tmp_path: Path, kind: str) -> None:
    image = FatImage(tmp_path / "stick.img") if kind == "fat" else NtfsImage(tmp_path / "stick.img")
    image.put("ricevuta.pdf", b"%PDF-quella di prima")
    (desk.saved / "ricevuta.pdf").write_bytes(PDF)
    (desk.saved / "elenco [3].txt").write_bytes(b"una riga\n")
    (desk.saved / "in arrivo.pdf.crdownload").write_bytes(PDF)
    (desk.saved / "in arrivo.pdf").touch()
    (desk.saved / "falso.pdf").write_bytes(b"MZ")
    (desk.saved / "enorme.pdf").write_bytes(b"%PDF-" + b"\0" * RULES.max_document_bytes)
    (desk.saved / "rimando.pdf").symlink_to("/etc/passwd")
    said = desk.give_out(image.path)
    assert image.names() >= {"ricevuta.pdf", "ricevuta (2).pdf", "elenco (3).txt"}
    assert image.get("ricevuta.pdf") == b"%PDF-quella di prima"
    assert image.get("ricevuta (2).pdf") == PDF
    assert "rimando.pdf" not in image.names()
    assert said.done == 2
    assert said.left == {"false": 1, "large": 1}
    assert "You can take the stick out." in str(told(said))


def test_a_full_stick_is_said_and_what_was_written_is_whole(desk: Desk, tmp_path: Path) -> None:
    fat = FatImage(tmp_path / "stick.img", 1, 12)
    fat.put("riempie.bin", b"\0" * 1_000_000)
    for name in ("a.pdf", "b.pdf"):
        (desk.saved / name).write_bytes(b"%PDF-" + bytes(30_000))
    said = desk.give_out(fat.path)
    assert said.left == {"full": 2}
    assert said.done == 0


def test_what_is_not_as_it_was_written_is_not_called_saved(desk: Desk, tmp_path: Path) -> None:
    fat = FatImage(tmp_path / "stick.img")
    fat.put("ricevuta.pdf", PDF)
    for content in (PDF[:-1] + b"x", PDF + b"x", PDF[:-1]):
        document = tmp_path / "ricevuta.pdf"
        document.write_bytes(content)
        with pytest.raises(Unreadable):
            read_back(open_medium(fat.path, desk.work), document, "ricevuta.pdf", desk.work / "back")


def test_a_profile_that_only_reads_saves_nothing(desk: Desk, tmp_path: Path) -> None:
    fat = FatImage(tmp_path / "stick.img")
    (desk.saved / "ricevuta.pdf").write_bytes(PDF)
    assert desk.give_out(fat.path, msgspec.structs.replace(RULES, export=False)).problem == "read-only"
    assert fat.names() == set()


def test_nothing_to_save_is_said(desk: Desk, tmp_path: Path) -> None:
    assert desk.give_out(FatImage(tmp_path / "stick.img").path).problem == "nothing"


def test_a_stick_that_cannot_be_written_is_said(desk: Desk, tmp_path: Path) -> None:
    (desk.saved / "ricevuta.pdf").write_bytes(PDF)
    assert desk.give_out(tmp_path / "nowhere.img").problem == "gone"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "broken"),
        (b"\0" * (1 << 20), "broken"),
        (b"\xeb\x76\x90EXFAT   " + b"\0" * 501 + b"\x55\xaa" + b"\0" * (1 << 20), None),
        (b"LUKS\xba\xbe\x00\x01" + b"\0" * (1 << 20), None),
        (b"\0" * 1080 + b"\x53\xef" + b"\0" * (1 << 20), None),
        (b"\xeb\x52\x90NTFS    " + b"\x01" * 4096, None),
    ],
    ids=["empty", "blank", "exfat", "luks", "ext", "ntfs-without-sense"],
)
def test_what_is_no_stick_of_ours_is_a_sentence(
    desk: Desk, tmp_path: Path, content: bytes, problem: str | None
) -> None:
    image = tmp_path / "stick.img"
    image.write_bytes(content)
    said = desk.take_in(image)
    assert said.problem is not None
    assert problem in (None, said.problem)


def test_a_stick_that_is_gone_is_a_sentence(desk: Desk, tmp_path: Path) -> None:
    assert desk.take_in(tmp_path / "nowhere").problem == "gone"
    assert desk.take_in(Path("/dev/null")).problem == "format"


def test_one_that_takes_too_long_is_given_up(desk: Desk, tmp_path: Path) -> None:
    fat = FatImage(tmp_path / "stick.img")
    fat.put("a.pdf", PDF)
    assert desk.take_in(fat.path, seconds=0).problem == "time"


def test_who_was_killed_is_spoken_for(desk: Desk) -> None:
    working = Report(way="import", phase="working", device="/dev/sda1", done=2)
    run(working, desk.report, lambda _tell: None)
    desk.report.write_bytes(b'{"way":"import","phase":"working","device":"/dev/sda1","done":2}')
    cut_short(desk.report)
    said = decode(Report, desk.report.read_bytes())
    assert (said.phase, said.problem, said.done) == ("ended", "time", 2)


# Made to break the reader


class Geometry:
    """Where things are in a FAT16 image, from its own first sector (FAT: ECMA-107, 9 and 10)."""

    data: int
    sector: int
    cluster: int

    def __init__(self, image: FatImage) -> None:
        self.image = image
        head = image.path.read_bytes()[:512]
        self.sector, self.cluster, reserved, self.fats, entries = struct.unpack_from("<HBHBH", head, 11)
        self.fat_sectors = struct.unpack_from("<H", head, 22)[0]
        self.fat = reserved * self.sector
        self.root = self.fat + self.fats * self.fat_sectors * self.sector
        self.data = self.root + entries * 32

    def chain(self, cluster: int, following: int) -> None:
        """Let `cluster` be followed by another, in each copy of the table."""
        for copy in range(self.fats):
            place = self.fat + copy * self.fat_sectors * self.sector + cluster * 2
            self.image.at(place, struct.pack("<H", following))

    def where(self, cluster: int) -> int:
        """Where a cluster's content is."""
        return self.data + (cluster - 2) * self.cluster * self.sector


def entry(short: bytes, cluster: int, size: int = 0, attribute: int = 0x20) -> bytes:
    """A name in a folder; `short` has 11 bytes."""
    return struct.pack("<11sB14sHI", short, attribute, bytes(14), cluster, size)


def long_entry(name: str, cluster: int, size: int) -> bytes:
    """A name that says anything in UTF-16, as Windows writes long names."""
    short = b"LUNGO~1 PDF"
    total: int = 0
    for byte in short:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    units = name.encode("utf-16-le") + b"\0\0"
    units += b"\xff" * (-len(units) % 26)
    parts = [units[at : at + 26] for at in range(0, len(units), 26)]
    written = b""
    for number, part in reversed(list(enumerate(parts, 1))):
        mark = number | (0x40 if number == len(parts) else 0)
        written += bytes([mark]) + part[:10] + bytes([0x0F, 0, total]) + part[10:22] + b"\0\0" + part[22:]
    return written + entry(short, cluster, size)


@pytest.fixture
def made(tmp_path: Path) -> Geometry:
    image = FatImage(tmp_path / "stick.img")
    geometry = Geometry(image)
    geometry.chain(2, 0xFFFF)
    image.at(geometry.where(2), PDF[:512])
    return geometry


def test_a_file_that_leads_back_to_itself_ends(desk: Desk, made: Geometry) -> None:
    made.chain(2, 2)
    made.image.at(made.root, entry(b"ANELLO  PDF", 2, 0xFFFF_FFFF) + entry(b"BUONO   PDF", 3, 400))
    made.chain(3, 0xFFFF)
    made.image.at(made.where(3), PDF[:400])
    desk.take_in(made.image.path)
    assert desk.documents()["BUONO.PDF"] == PDF[:400]


def test_two_files_in_the_same_place_are_two_documents(desk: Desk, made: Geometry) -> None:
    made.image.at(made.root, entry(b"UNO     PDF", 2, 500) + entry(b"DUE     PDF", 2, 500))
    assert desk.take_in(made.image.path).done == 2


def test_a_folder_that_holds_itself_ends(desk: Desk, made: Geometry) -> None:
    made.chain(3, 0xFFFF)
    made.image.at(made.root, entry(b"GIRO       ", 3, 0, 0x10))
    inside = entry(b".          ", 3, 0, 0x10) + entry(b"..         ", 0, 0, 0x10)
    inside += b"".join(entry(b"GIRO%03d    " % number, 3, 0, 0x10) for number in range(10))
    made.image.at(made.where(3), inside + entry(b"QUI     PDF", 2, 500))
    said = desk.take_in(made.image.path)
    assert said.problem is None, "ten to the sixth folders are not looked into"
    assert said.done == RULES.max_documents


def test_a_file_said_to_be_of_four_gigabytes_is_no_more_than_it_has(desk: Desk, made: Geometry) -> None:
    made.image.at(made.root, entry(b"BOMBA   PDF", 2, 0xFFFF_FFFF))
    desk.take_in(made.image.path)


def test_a_folder_without_end_ends(desk: Desk, tmp_path: Path) -> None:
    image = FatImage(tmp_path / "stick.img")
    made = Geometry(image)
    names = b"".join(entry(b"%08dPDF" % number, 0) for number in range(60_000))
    clusters = len(names) // (made.cluster * made.sector)
    image.at(made.where(3), names)
    for cluster in range(3, 3 + clusters):
        made.chain(cluster, cluster + 1)
    made.chain(3 + clusters, 3)
    image.at(made.root, entry(b"TANTI      ", 3, 0, 0x10))
    desk.take_in(image.path, seconds=5)


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/cron.d/x.pdf",
        "/etc/cron.d/x.pdf",
        "..\\..\\x.pdf",
        "-rf.pdf",
        "--help.pdf",
        "due\n::/righe.pdf",
        "\u202efdp.x.pdf",
        "$(touch presa).pdf",
        "*?.pdf",
        "\ud800x.pdf".encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"),
        "a" * 251 + ".pdf",
        "\x1b]0;titolo\x07.pdf",
        ".pdf",
        "..pdf",
    ],
)
def test_a_name_is_only_a_name(desk: Desk, made: Geometry, name: str) -> None:
    made.image.at(made.root, long_entry(name, 2, 500))
    before = {path for path in desk.into.parent.rglob("*") if desk.into not in path.parents}
    said = desk.take_in(made.image.path)
    after = {path for path in desk.into.parent.rglob("*") if desk.into not in path.parents}
    assert after - before <= {desk.report, desk.work / "out", desk.work / "err"}
    assert said.done <= 1
    assert said.done + sum(said.left.values()) <= 2, "a line's end in a name makes two names of it"


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("kind", ["fat", "ntfs"])
def test_one_that_was_cut_off_is_read_as_far_as_it_goes(
    desk: Desk, tmp_path: Path, kind: str, keep: float
) -> None:
    image = FatImage(tmp_path / "stick.img") if kind == "fat" else NtfsImage(tmp_path / "stick.img")
    for number in range(5):
        image.put(f"documento {number}.pdf", PDF * 20)
    with image.path.open("r+b") as cut:
        cut.truncate(int(image.path.stat().st_size * keep))
    desk.take_in(image.path)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["fat", "ntfs"])
def test_chance_breaks_nothing(desk: Desk, tmp_path: Path, kind: str, seed: int) -> None:
    image = FatImage(tmp_path / "stick.img") if kind == "fat" else NtfsImage(tmp_path / "stick.img", 8)
    for number in range(4):
        image.put(f"documento {number}.pdf", PDF)
    dice = random.Random(seed)
    content = bytearray(image.path.read_bytes())
    # Where the file system's own words are: its first 64 KiB, and for NTFS the table of files in the middle.
    table = max(content.find(b"FILE0"), 0)
    for _change in range(dice.choice([4, 60, 600])):
        place = dice.choice([0, table]) + dice.randrange(64 << 10)
        content[place % len(content)] = dice.randrange(256)
    content[3:11] = b"NTFS    " if kind == "ntfs" else content[3:11]
    image.path.write_bytes(content)
    desk.take_in(image.path)
