"""The laws of layers, and what they mean to a technician."""

from functools import reduce

import yaml
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from kiosk_profiles.layers import Settings, merge, settings
from kiosk_profiles.loader import load
from kiosk_profiles.profile import Layer
from tests.unit.profiles.lab import HALL, library

HOSTS = st.lists(st.sampled_from([".a.test", ".b.test", "c.test"]), max_size=3, unique=True)
SERVICES = st.lists(st.sampled_from(["spid", "anpr", "inps"]), max_size=2, unique=True)
CHORDS = st.lists(st.sampled_from(["C-n", "C-t", "F11"]), max_size=2, unique=True)

LAYERS = st.fixed_dictionaries(
    {},
    optional={
        "start_page": st.sampled_from(["https://a.test/", "http://b.test/"]),
        "language": st.sampled_from(["it", "en", "ro"]),
        "services": SERVICES,
        "allow": HOSTS,
        "deny": HOSTS,
        "programs": st.lists(st.sampled_from(["writer", "calc"]), max_size=2, unique=True),
        "remove": st.fixed_dictionaries(
            {}, optional={"allow": HOSTS, "services": SERVICES, "programs": st.just(["calc"])}
        ),
        "browser": st.none()
        | st.fixed_dictionaries(
            {}, optional={"downloads": st.booleans() | st.none(), "printing": st.booleans()}
        ),
        "kernel": st.none()
        | st.dictionaries(
            st.sampled_from(["kernel.sysrq", "net.ipv4.tcp_syncookies"]),
            st.none() | st.integers(0, 9),
            max_size=2,
        ),
        "desktop": st.none() | st.fixed_dictionaries({}, optional={"swallow": CHORDS, "free": CHORDS}),
        "time": st.none() | st.just({"servers": ["ntp.a.test"]}),
        "console": st.none() | st.just({"access": "closed"}),
        "storage": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "removable": st.sampled_from(["none", "read-only", "full"]),
                "usb": st.lists(st.sampled_from(["audio", "printer"]), max_size=2, unique=True),
                "documents": st.lists(st.sampled_from(["pdf", "p7m"]), min_size=1, max_size=2, unique=True),
                "max_documents": st.integers(1, 2000),
            },
        ),
        "kiosk_user": st.none() | st.just({"access": "closed"}),
        "sound": st.none() | st.fixed_dictionaries({}, optional={"level": st.integers(0, 100)}),
        "locale": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "language": st.sampled_from(["it", "ro"]),
                "keyboard": st.sampled_from(["it", "gb"]),
            },
        ),
        "boot": st.none() | st.fixed_dictionaries({}, optional={"menu_s": st.integers(0, 60)}),
        "printing": st.none()
        | st.fixed_dictionaries(
            {"printers": st.dictionaries(st.sampled_from(["a", "b"]), st.none() | st.just("ipp://a.test/p"))},
            optional={"pages": st.none() | st.integers(1, 1000)},
        ),
    },
)


def of(data: object, layer: str = "lab") -> Settings:
    loaded = load(Layer, yaml.safe_dump(data).encode())
    assert loaded.problems == ()
    return settings(loaded, layer, f"{layer}.yaml")


@given(LAYERS)
def test_an_empty_layer_changes_nothing(data: object) -> None:
    layer, empty = of(data), of({}, "group")
    assert merge(layer, empty) == layer == merge(empty, layer)
    assert list(merge(empty, layer)) == list(layer)


@given(LAYERS, LAYERS, LAYERS)
def test_the_grouping_of_layers_does_not_matter(one: object, two: object, three: object) -> None:
    """With the provenance of every setting, and the order of every list."""
    a, b, c = of(one, "lab"), of(two, "group"), of(three, "pc")
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert list(left.items()) == list(right.items())


@given(st.lists(LAYERS, max_size=4))
@configured(deadline=None)
def test_the_last_who_spoke_is_the_one_named(layers: list[object]) -> None:
    said = [of(layer, f"layer-{number}") for number, layer in enumerate(layers)]
    merged = reduce(merge, said, of({}))
    for key, setting in merged.items():
        speakers = [each[key] for each in said if key in each]
        assert setting == speakers[-1]


def test_a_section_out_of_management_stays_out_whatever_the_lab_says() -> None:
    lab = "browser: {printing: false}\nallow: [.portale.test]\nstart_page: http://portale.test/\n"
    resources = library({"layers/lab.yaml": lab}).resolve("maintenance").resources
    assert resources.browser_policy is None
    assert resources.desktop is None
    assert resources.kernel is not None


def test_lists_add_up_and_a_narrower_layer_takes_out() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL,
            "layers/lab.yaml": "allow: [.a.test, .b.test]\nservices: [pec]\n",
            "layers/group/desk.yaml": "remove: {allow: [.a.test], services: [pec]}\n",
            "layers/pc/pc-03.yaml": "allow: [.a.test]\n",
        }
    )

    def hosts(*groups: str, station: str | None = None) -> set[str]:
        policy = lab.resolve("hall", groups, station).resources.browser_policy
        assert policy is not None
        return {host for host in policy.allow if not host.startswith("chrome")}

    pec = {".webmail.pec.it", ".legalmail.infocert.it"}
    assert hosts() == {".portale.test", ".a.test", ".b.test", *pec}
    assert hosts("desk") == {".portale.test", ".b.test"}
    assert hosts("desk", station="pc-03") == {".portale.test", ".a.test", ".b.test"}
    assert hosts("desk", station="pc-04") == {".portale.test", ".b.test"}


def test_a_host_of_a_service_can_be_taken_out_too() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL + "services: [pec]\n",
            "layers/lab.yaml": "remove: {allow: [.webmail.pec.it]}\n",
        }
    )
    policy = lab.resolve("hall").resources.browser_policy
    assert policy is not None
    assert ".webmail.pec.it" not in policy.allow
    assert ".legalmail.infocert.it" in policy.allow


def test_the_later_group_is_on_top() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL,
            "layers/group/one.yaml": "time: {servers: [one.test]}",
            "layers/group/two.yaml": "time: {servers: [two.test]}",
        }
    )
    servers = [lab.resolve("hall", groups).resources.time for groups in (("one", "two"), ("two", "one"))]
    assert [each.servers for each in servers if each is not None] == [("two.test",), ("one.test",)]


def test_null_leaves_one_setting_alone() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL,
            "layers/lab.yaml": "kernel: {kernel.sysrq: null}\nbrowser: {printing: null}\n",
        }
    )
    resources = lab.resolve("hall").resources
    assert resources.kernel is not None
    assert resources.browser_policy is not None
    assert "kernel.sysrq" not in resources.kernel.sysctl
    assert "PrintingEnabled" not in resources.browser_policy.policies
    assert resources.kernel.sysctl["fs.suid_dumpable"] == "0"


def test_a_key_given_back_and_taken_again() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL,
            "layers/lab.yaml": "desktop: {free: [C-t, F11]}",
            "layers/pc/pc-01.yaml": "desktop: {swallow: [F11, C-A-x]}",
        }
    )
    wide = lab.resolve("hall").resources.desktop
    narrow = lab.resolve("hall", (), "pc-01").resources.desktop
    assert wide is not None
    assert narrow is not None
    assert set(narrow.swallowed_keys) - set(wide.swallowed_keys) == {"F11", "C-A-x"}
    assert "C-t" not in narrow.swallowed_keys
