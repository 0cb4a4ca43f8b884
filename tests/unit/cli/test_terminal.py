"""What a person sees: on a terminal of any size, in any locale, in colour or not, live or once."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from controller import profile_models as prof
from controller.cli.render import Cell, Column, Table, age, fit, plain
from tests.unit.cli.lab import ARGV, Reciting, condition, environment, labctl, station
from tests.unit.cli.test_commands import rolled
from tests.unit.cli.test_door import OK, STATUS, answering
from tools.picture import screen

COMPLETE = 'source "$1"; COMP_WORDS=($2); COMP_CWORD=$3; _labctl_completion labctl; echo "${COMPREPLY[@]}"'
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def shown(
    door: Path, *arguments: str, columns: int = 80, keys: tuple[bytes, bytes] = (b"", b""), **more: str
) -> tuple[str, Sequence[str]]:
    """What labctl draws on a terminal: as it came, and its lines without colours."""
    drawn, code = screen([*ARGV, *arguments], columns, env=environment(door, **more), keys=keys)
    assert code == 0, drawn
    return drawn, ESCAPE.sub("", drawn).splitlines()


def test_ten_pcs_fit_80_by_24(services: Reciting, door: Path) -> None:
    drawn, lines = shown(door, "status")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("pc-")][:10] == [
        f"pc-{n:02}" for n in range(1, 11)
    ]
    row = next(line for line in lines if line.startswith("pc-07"))
    assert row.split() == ["pc-07", "offline", "2", "h", "available", "9", "→", "12", "08:16:07"]
    assert "disk filling up" in next(line for line in lines if line.startswith("pc-04 "))
    assert "pc-04: / is 96 % full." in lines
    assert "10 PCs: 8 online, 5 as they shall be." in lines
    assert "\x1b[31m" in drawn


def test_no_color_is_respected(services: Reciting, door: Path) -> None:
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown(door, "status", NO_COLOR="1")[0])


@pytest.mark.parametrize("columns", [20, 40, 60, 100, 200])
def test_any_width_keeps_its_lines(services: Reciting, door: Path, columns: int) -> None:
    _drawn, lines = shown(door, "status", columns=columns)
    table = [line for line in lines if re.match(r"pc-\d\d  ", line)]
    assert len(table) == 10
    assert max(map(len, table)) <= max(columns, 20)
    assert ("citizen" in table[0]) == (columns >= 100)


def test_a_pipe_gets_plain_columns(services: Reciting, door: Path) -> None:
    done = labctl("status", door=door)
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert len(lines) == 11
    assert lines[0] == (
        "PC     PRESENCE  AGE   STATE           PROFILE  REVISION  LOAD  MEM  SEEN      CONDITIONS"
    )
    assert lines[3] == ("pc-03  online    2 s   in use          citizen  11 → 12   0.90  31%  10:21:05  -")


def test_json_has_instants_in_utc(services: Reciting, door: Path) -> None:
    status = json.loads(labctl("status", "--json", door=door).stdout)
    assert status["at"] == "2026-11-24T09:21:07Z"
    assert status["stations"][6]["age_s"] == 7500.0


def test_a_note_of_the_controller_is_shown(services: Reciting, door: Path) -> None:
    services.stations = [station(1, note="Another machine says that it is pc-01.")]
    _drawn, lines = shown(door, "status")
    assert "pc-01: Another machine says that it is pc-01." in lines


def test_a_condition_of_a_newer_agent_is_shown_by_its_name(services: Reciting, door: Path) -> None:
    services.stations = [station(1, conditions=[condition("FanStopped", "The fan stands still.")])]
    assert labctl("status", door=door).stdout.splitlines()[1].endswith("FanStopped")


def test_a_pc_that_never_answered(services: Reciting, door: Path) -> None:
    services.stations = [
        station(
            1, presence="offline", state="unknown", profile="", desired=0, applied=0,
            load=None, memory=None, last_seen=None, age_s=None,
        )
    ]  # fmt: skip
    assert labctl("status", door=door).stdout.splitlines()[1].split() == [
        "pc-01",
        "offline",
        "-",
        "unknown",
        *"------",
    ]


def test_an_empty_lab_says_how_to_begin(services: Reciting, door: Path) -> None:
    services.stations = []
    assert "labctl discover" in labctl("status", door=door).stdout
    assert json.loads(labctl("status", "--json", door=door).stdout)["stations"] == []


@pytest.mark.parametrize(
    ("locale", "encoding"),
    [
        ("C", ""),
        ("C", "ascii"),
        ("POSIX", ""),
        ("it_IT.ISO-8859-1", "latin-1"),
        ("xx_YY.nonsense", ""),
        ("", "ascii"),
    ],
)
def test_no_locale_is_a_reason_to_crash(services: Reciting, door: Path, locale: str, encoding: str) -> None:
    services.stations = [station(3, applied=11, note="È già così: ✗ 中")]
    world: dict[str, Any] = {
        "LC_ALL": locale,
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": encoding,
    }
    for argv in (["status"], ["status", "--json"], ["doctor"], ["profile", "check", "città"], ["--help"]):
        done = labctl(*argv, door=door, **world)
        assert "Traceback" not in done.stderr
        assert done.returncode == (1 if argv[0] in ("doctor", "profile") else 0), done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LANG", "it_IT.UTF-8", "fuori servizio"),
        ("LC_ALL", "it_IT", "fuori servizio"),
        ("LANGUAGE", "it", "fuori servizio"),
        ("LANGUAGE", "en:it", "out of service"),
        ("LANG", "de_DE.UTF-8", "out of service"),
        ("LC_ALL", "C", "out of service"),
    ],
)
def test_the_locale_s_language(services: Reciting, door: Path, name: str, value: str, words: str) -> None:
    world: dict[str, Any] = {"LANG": "it_IT.UTF-8", name: value}
    assert words in labctl("status", door=door, **world).stdout


def test_click_speaks_italian_too(services: Reciting, door: Path) -> None:
    words = labctl("profile", "publsih", door=door, LANG="it_IT.UTF-8").stderr
    assert words.startswith("Uso: labctl profile")
    assert "Forse intendevi 'publish'?" in words
    help = labctl("pair", "--help", LANG="it_IT.UTF-8").stdout
    for english in ("Usage", "Options", "Arguments", "Show this message", "required"):
        assert english not in help


def test_a_reader_that_leaves_is_no_error(services: Reciting, door: Path) -> None:
    with subprocess.Popen(
        [*ARGV, "status"], env=environment(door), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as left:
        assert left.stdout is not None
        left.stdout.close()
        assert left.stderr is not None
        assert left.stderr.read() == b""


def test_watching_redraws_until_q(services: Reciting, door: Path) -> None:
    drawn, lines = shown(door, "status", "--watch", keys=(b"pc-10", b"q"))
    assert drawn.startswith("\x1b[?1049h"), "the alternate screen, so that the shell's stays as it was"
    assert "\x1b[?1049l" in drawn
    assert any("pc-10" in line for line in lines)


def test_watching_goes_on_while_the_controller_is_away(tmp_path: Path) -> None:
    line = STATUS.replace(b"[]", json.dumps([station(1).model_dump(mode="json")]).encode()) + b"\n"
    with answering(
        tmp_path, OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(line), line)
    ) as door:
        drawn, lines = shown(door, "status", "--watch", keys=(b"went away", b"q"))
    assert "\x1b[?1049l" in drawn
    assert any(line.startswith("pc-01") for line in lines)


def test_a_sign_of_life_while_the_pcs_are_waited_for(services: Reciting, door: Path) -> None:
    def slowly() -> prof.Rolled:
        time.sleep(1.5)
        return rolled(changed=["pc-01"], applied=["pc-01"])

    services.answers["publish"] = slowly
    drawn, lines = shown(door, "profile", "publish", "citizen")
    assert "publishing citizen and waiting for the PCs 1 s" in drawn
    assert lines[-1] == "Applied on 1 PC: pc-01"


# A run of the tests in the background has Ctrl-C ignored, and children inherit that.
HEARS_CTRL_C = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from controller.cli.main import main; main()",
]


def test_watching_in_a_pipe_is_a_line_each(services: Reciting, door: Path) -> None:
    with subprocess.Popen(
        [*HEARS_CTRL_C, "status", "--watch", "--json"],
        env=environment(door),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        first = json.loads(watching.stdout.readline())
        assert first["lab"] == "fontana"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
        assert watching.stderr.read() == b""


def test_ctrl_c_leaves_no_trace(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "d"))
        silent.listen()
        with subprocess.Popen(
            [*HEARS_CTRL_C, "status"],
            env=environment(tmp_path / "d"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as waiting:
            caller, _address = silent.accept()
            with caller:
                time.sleep(0.1)
                waiting.send_signal(signal.SIGINT)
                output, errors = waiting.communicate(timeout=30)
    assert (output, errors, waiting.returncode) == (b"", b"", 130)


def test_a_bug_of_ours_is_one_sentence_and_a_file(tmp_path: Path) -> None:
    code = "import sys; from controller.cli.errors import report_bug; sys.excepthook = report_bug; 1 / 0"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (kept,) = tmp_path.iterdir()
    assert str(kept) in done.stderr
    assert "ZeroDivisionError" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_pipe_costs_no_rich(services: Reciting, door: Path) -> None:
    """What must not be imported to print ten lines; benchmarks/cli_startup.py has the figure."""
    code = (
        "import sys\nfrom controller.cli.main import main\ntry:\n    main()\nfinally:\n"
        "    print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status"],
        env=environment(door),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    heavy = {
        "rich",
        "msgspec",
        "pydantic",
        "http",
        "requests",
        "h11",
        "yaml",
        "kiosk_profiles",
        "ssl",
    }
    assert heavy & set(done.stderr.split()) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    script = labctl("completion", shell).stdout
    assert "_LABCTL_COMPLETE" in script


def test_bash_completes_commands_pcs_and_profiles(services: Reciting, door: Path, tmp_path: Path) -> None:
    program = tmp_path / "labctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{ARGV[2]}" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(labctl("completion", "bash").stdout)
    asked = {
        "labctl prof": ["profile"],
        "labctl unpair pc-0": [f"pc-0{n}" for n in range(1, 10)],
        "labctl profile publish ci": ["citizen"],
    }
    for line, expected in asked.items():
        words = line.split()
        done = subprocess.run(
            ["bash", "-c", COMPLETE, "bash", str(tmp_path / "script"), line, str(len(words) - 1)],
            env=environment(door) | {"PATH": f"{tmp_path}:{environment()['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == expected, (line, done.stderr)


def test_a_server_elsewhere_is_asked_by_ssh(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s|" "$@"\nexit ${SSH_SAYS:-0}\n')
    ssh.chmod(0o755)
    path = f"{tmp_path}:{environment()['PATH']}"
    done = labctl("--server", "ada@lab", "profile", "publish", "citizen", "--why", "it's new", PATH=path)
    assert done.stdout == "--|ada@lab|env LANGUAGE=en labctl profile publish citizen --why 'it'\"'\"'s new'|"
    italian = labctl("--server", "lab", "status", PATH=path, LANGUAGE="it")
    assert italian.stdout == "--|lab|env LANGUAGE=it labctl status|"
    assert labctl("--server", "lab", "status", PATH=path, SSH_SAYS="3").returncode == 3
    away = labctl("--server", "lab", "status", PATH=path, SSH_SAYS="255")
    assert away.returncode == 1
    assert "ssh could not reach lab" in away.stderr
    bare = labctl("--server", "lab", "status", PATH=path, SSH_SAYS="127")
    assert "there is no labctl on lab" in bare.stderr


def test_a_column_leaves_before_another_is_cut() -> None:
    table = Table(
        (Column("PC"), Column("STATE", leaves=1), Column("LOAD", leaves=2), Column("NOTE")),
        (
            (
                Cell("pc-01"),
                Cell("available"),
                Cell("0.10"),
                Cell("a long story that is told in full elsewhere"),
            ),
        ),
    )
    assert [fit(table, width) for width in (100, 40, 35, 20)] == [
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        [0, 1, 3],
        [0, 3],
    ]


def test_plain_columns_line_up() -> None:
    table = Table(
        (Column("A"), Column("N", right=True)), ((Cell("long"), Cell("1")), (Cell(""), Cell("100")))
    )
    assert plain(table) == ["A       N", "long    1", "-     100"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (90000, "1 d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text
