"""Make the PC what it shall be: plan, act, look again, until there is nothing to do.

The only room in which a plan is carried out. "In force" is said when a second
look finds nothing to change, never because a program ended with zero.
"""

from collections.abc import Iterable

from agent.core.changes import Action, Change, Forget, Kind, Plan, Remember
from agent.core.reconcile import whole_plan
from agent.ports import ActionFailed, Host, Memory
from contract.desired import Resources
from contract.sentence import Sentence, sentence
from contract.wire import Message

ROUNDS = 3
"""Looks before we say that something undoes our work as fast as we do it."""


class Outcome(Message, frozen=True):
    """What came of it: the changes that were carried out, and what stands in the way if anything does."""

    done: Plan
    failed: Change | None = None
    reason: Sentence | None = None
    advice: Plan = ()
    """What a technician may want to mend; the PC is as wanted without it."""

    @property
    def converged(self) -> bool:
        """Whether a look at the host found it as wanted."""
        return self.failed is None


def converge(kinds: Iterable[Kind], wanted: Resources, host: Host, memory: Memory) -> Outcome:
    """Bring `host` to `wanted`.

    Stops at the first action that fails: as what tightens comes first, the PC
    is then at least as locked as before. Raises what `memory` raises: without
    a journal nothing is changed.
    """
    kinds = tuple(kinds)
    done: list[Change] = []
    for _ in range(ROUNDS):
        plan = whole_plan(kinds, wanted, memory.owned(), host)
        doable = [change for change in plan if change.actions]
        if not doable:
            return _as_far_as_we_can(done, plan)
        for change in doable:
            try:
                for action in change.actions:
                    act(action, host, memory)
            except ActionFailed as error:
                return Outcome(done=tuple(done), failed=change, reason=error.sentence)
            done.append(change)
    plan = whole_plan(kinds, wanted, memory.owned(), host)
    left = [change for change in plan if change.actions]
    if not left:
        return _as_far_as_we_can(done, plan)
    reason = sentence("{subject} does not stay as set: {why}", subject=left[0].subject, why=left[0].why)
    return Outcome(done=tuple(done), failed=left[0], reason=reason)


def _as_far_as_we_can(done: Iterable[Change], left: Plan) -> Outcome:
    """What came of it where nothing is left that the agent can do."""
    hindrances = [change for change in left if not change.advice]
    return Outcome(
        done=tuple(done),
        failed=hindrances[0] if hindrances else None,
        reason=hindrances[0].why if hindrances else None,
        advice=tuple(change for change in left if change.advice),
    )


def act(action: Action, host: Host, memory: Memory) -> None:
    """Carry out one action. Raises ActionFailed."""
    match action:
        case Remember():
            memory.remember(action)
        case Forget():
            memory.forget(action)
        case _:
            host.do(action)
