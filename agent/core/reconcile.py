"""From a desired state to one ordered plan over all kinds."""

from collections.abc import Iterable, Mapping

from agent.core.changes import Kind, Owned, Plan, Reader
from contract.desired import Resources


def whole_plan(kinds: Iterable[Kind], wanted: Resources, owned: Mapping[str, Owned], reader: Reader) -> Plan:
    """Every kind's changes, what tightens before what loosens.

    The order within one effect is that of the kinds and, within a kind, its
    own: sorting is stable. A plan that fails half way has so far only tightened.
    """
    changes = [
        change
        for kind in kinds
        for mine in (owned.get(kind.NAME, {}),)
        for change in kind.plan(wanted, kind.observe(wanted, mine, reader), mine)
    ]
    return tuple(sorted(changes, key=lambda change: change.effect))
