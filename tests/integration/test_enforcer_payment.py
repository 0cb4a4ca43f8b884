"""Payment mode at a real enforcer: opened by the lab alone, kept through kill -9, gone with a reboot."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.core.messages import EnforcerState, Perform, Performed
from contract.desired import BrowserPolicy, Payment, Resources
from contract.exchange import CommandKind, CommandResult
from contract.payment import PaymentOrder
from tests.integration.enforcer_kit import Socket, apply, enforcer, pair
from tests.integration.lab_keys import LabKeys

ALLOW = "etc/chromium/policies/managed/60-lab-allow.json"
POLICY = BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it",))
PAYING = Resources(browser_policy=POLICY, payment=Payment(allow=(".issuer.example",)))
TEN_MINUTES = PaymentOrder(seconds=600)


def allowed(root: Path) -> list[str]:
    hosts: list[str] = json.loads((root / ALLOW).read_text())["URLAllowlist"]
    return hosts


class Lab:
    """The lab's end: each order has an id of its own."""

    def __init__(self, keys: LabKeys, link: Socket) -> None:
        self.keys = keys
        self.link = link
        self._number = 100

    def orders(self, kind: CommandKind, payment: PaymentOrder | None = None) -> CommandResult:
        self._number += 1
        told = self.link.ask(Perform(signed=self.keys.command("pc-01", self._number, kind, payment)))
        assert isinstance(told, Performed)
        assert told.result is not None, told.message
        return told.result

    def opens(self, payment: PaymentOrder = TEN_MINUTES) -> EnforcerState:
        result = self.orders("payment-open", payment)
        assert result.done, result.message
        return self.link.until(lambda state: state.payment is not None and state.payment.order == result.id)


@pytest.fixture
def keys() -> LabKeys:
    return LabKeys()


def test_it_opens_lasts_through_kill_9_and_closes(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        assert allowed(tmp_path) == [".inps.it"]

        opened = lab.opens().payment
        assert opened is not None
        assert allowed(tmp_path) == [".inps.it", ".issuer.example"]
        assert "put back" not in str(lab.link.state and lab.link.state.conditions), "it is no drift"

        running.kill()
        running.start()
        lab.link = running.socket()
        again = lab.link.until(lambda state: state.payment is not None).payment
        assert again == opened, "the same end, whatever happened in between"
        assert allowed(tmp_path) == [".inps.it", ".issuer.example"]

        assert lab.orders("payment-close").done
        lab.link.until(lambda state: state.payment is None)
        assert allowed(tmp_path) == [".inps.it"]
        assert lab.orders("payment-close").done, "what is closed may be closed again"


def test_a_reboot_closes_it_before_anybody_sits_there(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        lab.opens()
        running.kill()
        (tmp_path / "run/lab-agent/boot").unlink()  # /run is empty after a boot
        running.start()
        state = running.socket().until(lambda state: any(c.type == "Converged" for c in state.conditions))
        assert state.payment is None
        assert allowed(tmp_path) == [".inps.it"]


def test_an_order_that_comes_twice_is_one_and_a_second_one_prolongs(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        signed = keys.command("pc-01", 7, "payment-open", TEN_MINUTES)
        told = [lab.link.ask(Perform(signed=signed)) for _ in range(2)]
        assert told[0] == told[1]
        first = lab.link.until(lambda state: state.payment is not None).payment
        assert first is not None
        longer = lab.opens(PaymentOrder(seconds=1200)).payment
        assert longer is not None
        assert longer.until_s > first.until_s + 500
        assert lab.opens(PaymentOrder(seconds=60)).payment is not None
        assert lab.link.state is not None
        assert lab.link.state.payment is not None
        assert lab.link.state.payment.until_s == longer.until_s, "less than is left takes nothing away"


def test_it_is_the_profiles_and_goes_with_it(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, Resources(browser_policy=POLICY))
        refused = lab.orders("payment-open", TEN_MINUTES)
        assert not refused.done
        assert str(refused.message) == "its profile has no payment mode"

        apply(lab.link, keys, 2, PAYING)
        lab.opens()
        apply(lab.link, keys, 3, Resources(browser_policy=POLICY))
        lab.link.until(lambda state: state.payment is None)
        assert allowed(tmp_path) == [".inps.it"]
        apply(lab.link, keys, 4, PAYING)
        assert allowed(tmp_path) == [".inps.it"], "it was let go, not only covered"


def test_an_order_for_another_session_or_without_minutes_opens_nothing(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        late = lab.orders("payment-open", PaymentOrder(seconds=600, session="e" * 32))
        assert not late.done
        assert str(late.message) == "the session it was meant for has ended"
        unsaid = lab.orders("payment-open")
        assert not unsaid.done
        assert lab.link.state is not None
        assert lab.link.state.payment is None
        assert allowed(tmp_path) == [".inps.it"]


def test_what_the_journal_says_and_nobody_can_read_is_closed(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        lab.opens()
        running.kill()
        with closing(sqlite3.connect(tmp_path / "var/lib/lab-agent/enforcer/journal.sqlite")) as journal:
            journal.execute("""UPDATE facts SET value = '{"until_s":1e99}' WHERE name = 'payment'""")
            journal.commit()
        running.start()
        lab.link = running.socket()
        state = lab.link.until(lambda state: any(c.type == "Converged" for c in state.conditions))
        assert state.payment is None
        assert allowed(tmp_path) == [".inps.it"]
        assert lab.opens().payment is not None, "and it can be opened again"


def test_a_pc_that_is_let_go_takes_nothing_of_it_along(tmp_path: Path, keys: LabKeys) -> None:
    with enforcer(tmp_path) as running:
        lab = Lab(keys, running.socket())
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        lab.opens()
        held = keys.command("pc-01", 9, "payment-open", TEN_MINUTES)
        assert lab.orders("unpair").done
        state = lab.link.until(lambda state: state.payment is None)
        assert state.lab == ""
        assert not (tmp_path / ALLOW).exists()
        pair(running, lab.link, keys)
        apply(lab.link, keys, 1, PAYING)
        assert allowed(tmp_path) == [".inps.it"]
        late = lab.link.ask(Perform(signed=held))
        assert isinstance(late, Performed)
        assert late.result is None, "an order of another pairing is none"
        assert allowed(tmp_path) == [".inps.it"]
