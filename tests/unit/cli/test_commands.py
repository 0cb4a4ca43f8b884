"""What each noun asks of the controller, says of the answer, and leaves as its exit code."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller import door_models as m
from controller import profile_models as prof
from controller.problems import Problem
from tests.unit.cli.lab import NOW, Reciting, condition, labctl, station

HARDWARE = m.HardwareInfo(
    vendor="Acme",
    model="Desk 3",
    serial="SN-3",
    cpu="i3-8100",
    cores=4,
    memory=8_000_000_000,
    os="Debian GNU/Linux 12",
    kernel="6.1.0",
    python="3.11.2",
)


def rolled(**changes: Any) -> prof.Rolled:
    """A publication that concerned nobody, but for `changes`."""
    usual: dict[str, Any] = {"changed": [], "unchanged": [], "applied": [], "waiting": [], "failed": []}
    return prof.Rolled(publication=5, revision=13, **(usual | changes))


def found(name: str, number: int, **changes: Any) -> m.Found:
    """An agent that answered, unpaired but for `changes`."""
    usual: dict[str, Any] = {
        "version": "0.1.0",
        "pairing": "open",
        "known": False,
        "verified": False,
        "note": "",
    }
    return m.Found(id=name, address=f"192.0.2.{number}", **(usual | changes))


def test_a_publication_that_all_applied(services: Reciting, door: Path) -> None:
    services.answers["publish"] = rolled(
        changed=["pc-01", "pc-02"], applied=["pc-01", "pc-02"], unchanged=["pc-09"]
    )
    done = labctl("profile", "publish", "citizen", "--why", "a new tile", "--wait", "5", door=door)
    assert services.calls == [("publish", "citizen", "a new tile", 5.0)]
    assert done.stdout.splitlines() == [
        "Publication 5, revision 13.",
        "Applied on 2 PCs: pc-01, pc-02",
        "Nothing new for 1 PC: pc-09",
    ]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("changes", "says", "code"),
    [
        ({"failed": [prof.Failed(id="pc-02", reason="disk full")]}, "pc-02 could not: disk full", 3),
        (
            {"waiting": [prof.Waiting(id="pc-02", presence="online", reason="it is applying it")]},
            "pc-02 has not applied it yet: it is applying it",
            3,
        ),
        (
            {"waiting": [prof.Waiting(id="pc-02", presence="offline", reason="away")]},
            "pc-02 is away: it gets it as soon as it is back.",
            0,
        ),
    ],
    ids=["failed", "late", "away"],
)
def test_a_publication_that_not_all_applied(
    services: Reciting, door: Path, changes: dict[str, Any], says: str, code: int
) -> None:
    services.answers["publish"] = rolled(changed=["pc-01", "pc-02"], applied=["pc-01"], **changes)
    for format in ((), ("--json",)):
        done = labctl("profile", "publish", "citizen", *format, door=door)
        assert done.returncode == code
        assert format or says in done.stdout


def test_a_publication_of_nothing_new(services: Reciting, door: Path) -> None:
    services.answers["publish"] = rolled(unchanged=["pc-01"])
    done = labctl("profile", "publish", "citizen", door=door)
    assert "No PC has anything to change." in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("target", "asked"),
    [("lab", "lab"), ("pc-03", "pc:pc-03"), ("pc:PC-03", "pc:pc-03"), ("group:courses", "group:courses")],
)
def test_assigning(services: Reciting, door: Path, target: str, asked: str) -> None:
    services.answers["assign"] = rolled()
    assert labctl("profile", "assign", "business", target, door=door).returncode == 0
    assert labctl("profile", "assign", "none", target, "--wait", "0", door=door).returncode == 0
    assert services.calls == [("assign", asked, "business", 30.0), ("assign", asked, None, 0.0)]


def test_rolling_back(services: Reciting, door: Path) -> None:
    services.answers["rollback"] = rolled()
    labctl("profile", "rollback", "citizen", door=door)
    labctl("profile", "rollback", "citizen", "--to", "3", door=door)
    assert [call[2] for call in services.calls] == [None, 3]


def test_the_history(services: Reciting, door: Path) -> None:
    entry: dict[str, Any] = {
        "profile": "citizen",
        "at": NOW,
        "who": "ada",
        "current": False,
        "rollback_of": None,
    }
    services.answers["publications"] = prof.Publications(
        publications=[
            prof.Publication(**(entry | {"number": 5, "why": "", "current": True, "rollback_of": 3})),
            prof.Publication(**(entry | {"number": 4, "why": "a new tile"})),
        ]
    )
    lines = labctl("profile", "history", "citizen", door=door).stdout.splitlines()
    assert lines[1].split()[0] == "5"
    assert "back to 3" in lines[1]
    assert "24/11/26 10:21" in lines[2]
    assert "a new tile" in lines[2]


def test_a_difference_is_shown_once_for_all_it_is_for(services: Reciting, door: Path) -> None:
    change = prof.Change(path="browser.policies.PrintingEnabled", before=True, after=None)
    services.answers["diff"] = prof.Diff(
        stations=[
            prof.StationDiff(id=name, changes=[change] if name != "pc-03" else [])
            for name in ("pc-01", "pc-02", "pc-03")
        ]
    )
    assert labctl("profile", "diff", "citizen", door=door).stdout.splitlines() == [
        "pc-01, pc-02:",
        "  browser.policies.PrintingEnabled",
        "    - true",
        "    + (unmanaged)",
        "pc-03: nothing changes",
    ]


def test_explaining(services: Reciting, door: Path) -> None:
    services.answers["explain"] = prof.Explained(
        id="pc-03",
        profile="citizen",
        revision=12,
        settings=[
            prof.Setting(
                path="browser.printing",
                value=False,
                layer="group:courses",
                file="layers/group/courses.yaml",
                line=3,
            ),
            prof.Setting(path="desktop.bar_height", value=36, layer="base", file="base.yaml", line=None),
        ],
    )
    done = labctl("profile", "explain", "pc-03", "PRINT", door=door)
    assert done.stdout.splitlines()[0] == "pc-03 has profile citizen, revision 12."
    assert done.stdout.splitlines()[2].split() == [
        "browser.printing",
        "group:courses",
        "false",
        "layers/group/courses.yaml:3",
    ]
    assert "bar_height" not in done.stdout
    by_value = labctl("profile", "explain", "pc-03", "36", door=door).stdout
    assert "desktop.bar_height" in by_value
    nothing = labctl("profile", "explain", "pc-03", "sound", door=door)
    assert nothing.returncode == 1
    assert "no setting of pc-03 has 'sound' in it." in nothing.stderr


def test_showing_a_profile(services: Reciting, door: Path) -> None:
    services.answers["profile"] = prof.ProfileText(
        name="citizen", yaml="title: È qui\n# note\n", resolved={"title": "È qui", "tiles": [1]}
    )
    assert labctl("profile", "show", "citizen", door=door).stdout == "title: È qui\n# note\n"
    assert (
        labctl("profile", "show", "citizen", "--resolved", door=door).stdout == "title: È qui\ntiles:\n- 1\n"
    )


def test_discovering(services: Reciting, door: Path) -> None:
    services.answers["discover"] = m.Discovered(
        found=[found("pc-03", 3), found("", 9, pairing="unknown", note="refused")]
    )
    done = labctl(
        "discover", "--add", "192.0.2.9", "--add", "pc-11.example:7443", "--timeout", "0", door=door
    )
    assert services.calls == [("discover", ("192.0.2.9", "pc-11.example:7443"), 0.0)]
    assert done.stdout.splitlines()[1].split()[:2] == ["pc-03", "192.0.2.3:7443"]
    assert "labctl pair pc-03 CODE" in done.stderr


def test_two_pcs_that_claim_one_name(services: Reciting, door: Path) -> None:
    services.answers["discover"] = m.Discovered(found=[found("pc-03", 3), found("pc-03", 66)])
    done = labctl("discover", door=door)
    assert "pc-03 is claimed at 192.0.2.3:7443, 192.0.2.66:7443." in done.stderr
    services.answers["pair"] = Problem(
        "state", "Two PCs say that they are pc-03.", "Look which is right, then name it with --address."
    )
    refused = labctl("pair", "pc-03", "493027", door=door)
    assert refused.returncode == 1
    assert refused.stderr == (
        "labctl: Two PCs say that they are pc-03.\n  Look which is right, then name it with --address.\n"
    )


def test_a_host_that_does_not_resolve(services: Reciting, door: Path) -> None:
    services.answers["discover"] = Problem("input", "pc-77.example has no address.", "Check its spelling.")
    done = labctl("discover", "--add", "pc-77.example", door=door)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "labctl: pc-77.example has no address.\n  Check its spelling.\n"


@pytest.mark.parametrize("typed", ["493027", "493 027", "493-027"])
def test_pairing(services: Reciting, door: Path, typed: str) -> None:
    services.answers["pair"] = m.Paired(id="pc-03", address="192.0.2.3:7443", fingerprint="ab" * 32)
    done = labctl("pair", "PC-03", typed, "--address", "192.0.2.3", door=door)
    assert services.calls == [("pair", "pc-03", "493027", "192.0.2.3")]
    assert done.stdout.startswith("pc-03 at 192.0.2.3:7443 is of this lab now.\n")
    assert "ab" * 32 in done.stdout


def seat(state: str, left: int | None = 0) -> m.SessionOut:
    """A PC in `state` after a wipe that left so many files; None: no proof."""
    looked = [
        m.Looked(place="processes", found=12, left=0, where=[]),
        m.Looked(place="files", found=3, left=left or 0, where=["/var/tmp"] if left else []),
    ]
    canaries = [
        m.Canary(spot="cookie", seen=True, left=bool(left)),
        m.Canary(spot="print-title", seen=False, left=False),
    ]
    wipe = (
        None
        if left is None
        else m.Wipe(at=NOW, seconds=0.71, clean=not left, looked=looked, canaries=canaries)
    )
    return m.SessionOut(id="pc-03", state=state, wipe=wipe)


def test_a_session_begins(services: Reciting, door: Path) -> None:
    services.answers["start_session"] = seat("active", None)
    done = labctl("session", "start", "PC-03", door=door)
    assert (done.returncode, done.stdout) == (0, "A session has begun on pc-03.\n")
    assert services.calls == [("start_session", "pc-03", 15.0)]
    services.answers["start_session"] = seat("wiping")
    done = labctl("session", "start", "pc-03", door=door)
    assert done.returncode == 1
    assert "wiping" in done.stderr


def test_a_session_ends_only_with_a_proof(services: Reciting, door: Path) -> None:
    services.answers["end_session"] = seat("available")
    done = labctl("session", "end", "pc-03", "--wait", "5", door=door)
    assert done.returncode == 0
    assert "Wiped and proved in 0.7 s" in done.stdout
    assert services.calls == [("end_session", "pc-03", 5.0)]
    for answer in (seat("out-of-service", 2), seat("wiping"), seat("available", None), seat("available", 2)):
        services.answers["end_session"] = answer
        done = labctl("session", "end", "pc-03", door=door)
        assert done.returncode == 1
        assert "labctl session show pc-03" in done.stderr
        assert (
            json.loads(labctl("session", "end", "pc-03", "--json", door=door).stdout)["state"] == answer.state
        )


def test_who_calls_is_listed_the_longest_wait_first(services: Reciting, door: Path) -> None:
    quiet = labctl("call", "list", door=door)
    assert (quiet.returncode, quiet.stdout) == (0, "Nobody calls.\n")
    later = condition("HelpWanted", "the citizen asks for help")
    first = later.model_copy(update={"since": NOW - timedelta(hours=2), "message": "she asks for more time"})
    services.stations = [
        station(1, conditions=[later]),
        station(2, conditions=[first]),
        station(3, conditions=[condition("HelpWanted", "nobody calls", status=False)]),
    ]
    done = labctl("call", "list", door=door)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["PC", "pc-02", "pc-01"]
    assert "08:21:07" in done.stdout
    assert "asks for more time" in done.stdout
    told = json.loads(labctl("call", "list", "--json", door=door).stdout)
    assert [call["id"] for call in told["calls"]] == ["pc-02", "pc-01"]
    assert "somebody calls" in labctl("status", door=door).stdout


def test_a_call_is_answered(services: Reciting, door: Path) -> None:
    services.answers["answer_call"] = m.CallAnswered(id="pc-03")
    done = labctl("call", "answer", "PC-03", door=door)
    assert (done.returncode, done.stdout) == (0, "The screen of pc-03 says that you are coming.\n")
    assert services.calls == [("answer_call", "pc-03")]
    refused = Problem("state", "pc-03 will not: nobody calls.", "See how it is: labctl status")
    services.answers["answer_call"] = refused
    done = labctl("call", "answer", "pc-03", door=door)
    assert done.returncode == 1
    assert "nobody calls" in done.stderr


def test_a_proof_is_shown(services: Reciting, door: Path) -> None:
    services.answers["session"] = seat("out-of-service", 2)
    done = labctl("session", "show", "pc-03", door=door, LANG="it_IT.UTF-8", LANGUAGE="it")
    assert done.returncode == 0
    assert "fuori servizio" in done.stdout
    assert "NON PULITO" in done.stdout
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    rows = {line[0]: " ".join(line[1:]).split("  ") for line in lines}
    assert "C'È ANCORA" in str(rows["i cookie del browser"])
    assert "non c'era" in str(rows["titolo di una stampa"])
    assert "/var/tmp" in done.stdout


@pytest.mark.parametrize(
    ("told", "says"), [(True, "has forgotten the lab"), (False, "run `lab-agent unpair`")]
)
def test_unpairing(services: Reciting, door: Path, told: bool, says: str) -> None:
    services.answers["unpair"] = m.Unpaired(id="pc-03", told=told)
    done = labctl("unpair", "pc-03", "--force", door=door)
    assert services.calls == [("unpair", "pc-03", True)]
    assert says in done.stdout


def test_the_inventory(services: Reciting, door: Path) -> None:
    item: dict[str, Any] = {
        "id": "pc-03",
        "hardware": HARDWARE,
        "mac": ["02:00:00:00:00:03"],
        "address": "192.0.2.3",
        "disks": [m.DiskUse(mount="/", total=250_000_000_000, free=1)],
        "version": "0.1.0",
        "paired_at": NOW,
        "last_seen": None,
        "certificate_until": None,
    }
    unseen = item | {"id": "pc-04", "hardware": None, "disks": [], "mac": [], "version": ""}
    services.answers["inventory"] = m.Inventory(stations=[m.InventoryItem(**item), m.InventoryItem(**unseen)])
    lines = labctl("inventory", door=door).stdout.splitlines()
    for word in ("Acme Desk 3", "SN-3", "i3-8100 (4)", "8 GB", "250 GB", "02:00:00:00:00:03"):
        assert word in lines[1]
    assert lines[2].split() == ["pc-04", *["-"] * 8, "192.0.2.3"]


def test_groups(services: Reciting, door: Path) -> None:
    services.answers["groups"] = prof.Groups(groups=[])
    assert "labctl group set" in labctl("group", "list", door=door).stdout
    services.answers["groups"] = prof.Groups(
        groups=[prof.Group(name="courses", stations=["pc-01", "pc-02"], profile="")]
    )
    assert labctl("group", "list", door=door).stdout.splitlines()[1].split() == [
        "courses",
        "-",
        "pc-01,",
        "pc-02",
    ]
    services.answers["set_group"] = prof.GroupSet(name="courses", stations=["pc-01"], changed=["pc-01"])
    services.calls.clear()
    done = labctl("group", "set", "courses", "pc-01", "pc-01", door=door)
    assert services.calls == [("set_group", "courses", ("pc-01",))]
    assert "Gets a new revision by it: pc-01" in done.stdout
    services.answers["set_group"] = prof.GroupSet(name="courses", stations=[], changed=[])
    assert labctl("group", "set", "courses", door=door).stdout == "courses is removed.\n"


def test_the_doctor(services: Reciting, door: Path, tmp_path: Path) -> None:
    services.answers["doctor"] = m.Doctor(
        checks=[m.DoctorCheck(name="clock", ok=None, message="unknown", hint="ntp")]
    )
    well = labctl("doctor", door=door)
    assert well.returncode == 0
    assert well.stdout.splitlines()[-2:] == ["? clock: unknown", "    ntp"]
    services.answers["doctor"] = m.Doctor(
        checks=[m.DoctorCheck(name="disk", ok=False, message="full", hint="make room")]
    )
    ill = labctl("doctor", door=door)
    assert ill.returncode == 1
    assert ill.stdout.splitlines()[-2:] == ["✗ disk: full", "    make room"]
    at = datetime(2026, 1, 7, 23, 30, tzinfo=UTC)
    services.answers["doctor"] = m.Doctor(
        checks=[m.DoctorCheck(name="clock", ok=False, message="Not synchronised.", hint="ntp", at=at)]
    )
    off = labctl("doctor", door=door)
    assert off.stdout.splitlines()[-2] == "✗ clock: Not synchronised. It says 08/01/2026 00:30.", (
        "Italy's time"
    )
    shut = labctl("doctor", "--json", door=tmp_path / "none")
    assert shut.returncode == 1
    check = json.loads(shut.stdout)["checks"][0]
    assert (check["name"], check["ok"]) == ("door", False)
    assert "systemctl start lab-controller" in check["hint"]


def test_a_new_key_for_the_server(services: Reciting, door: Path) -> None:
    services.answers["rekey"] = m.Doctor(
        checks=[m.DoctorCheck(name="clock", ok=False, message="off", hint="ntp")]
    )
    done = labctl("doctor", "--rekey", door=door)
    assert (done.returncode, services.calls) == (0, [("rekey",)])
    assert "The server has a new key." in done.stdout
    assert done.stdout.splitlines()[-2:] == ["✗ clock: off", "    ntp"]
    services.answers["rekey"] = Problem("failed", "The new key cannot be written: no room.", "Make room.")
    failed = labctl("doctor", "--rekey", door=door)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "labctl: The new key cannot be written: no room.\n  Make room.\n"


def test_a_refusal_says_what_the_controller_says(services: Reciting, door: Path) -> None:
    services.answers["unpair"] = Problem("away", "pc-03 does not answer.", "Switch it on, or --force.")
    done = labctl("unpair", "pc-03", door=door)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "labctl: pc-03 does not answer.\n  Switch it on, or --force.\n"


@pytest.mark.parametrize(
    "argv",
    [
        ("status",),
        ("inventory",),
        ("discover",),
        ("group", "list"),
        ("profile", "list"),
        ("profile", "check"),
        ("profile", "explain", "pc-03"),
        ("profile", "diff", "citizen"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_whatever_is_listed_is_there_as_json(services: Reciting, door: Path, argv: tuple[str, ...]) -> None:
    services.answers |= {
        "inventory": m.Inventory(stations=[]),
        "discover": m.Discovered(found=[]),
        "groups": prof.Groups(groups=[]),
        "explain": prof.Explained(id="pc-03", profile="citizen", revision=1, settings=[]),
        "diff": prof.Diff(stations=[]),
        "doctor": m.Doctor(checks=[]),
    }
    done = labctl(*argv, "--json", door=door)
    assert isinstance(json.loads(done.stdout), dict)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_rehearsal_s_lab_is_made_once(tmp_path: Path) -> None:
    made = labctl("init", "--lab", "fontana", "--comune", "Comune di Esempio", "--root", str(tmp_path))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "etc/lab-controller/lab.toml").exists()
    again = labctl("init", "--root", str(tmp_path))
    assert again.stdout == "The lab fontana is made already; nothing was changed.\n"
    other = labctl("init", "--lab", "altra", "--root", str(tmp_path))
    assert other.returncode == 1
    assert "is of the lab fontana already" in other.stderr


def test_a_lab_without_a_name_is_not_made(tmp_path: Path) -> None:
    done = labctl("init", "--root", str(tmp_path))
    assert done.returncode == 2
    assert "labctl init --lab ID --comune NAME" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_chromium_says_so_in_one_sentence(tmp_path: Path) -> None:
    done = labctl("profile", "check", "citizen", "--chromium", door=tmp_path / "door", PATH="/nonexistent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "labctl: there is no Chromium on this machine.",
        "  Install it (apt install chromium), or run the command on a machine that has it.",
    ]
