"""The resource kinds: one module for each, with what it wants, observes and plans. None writes.

`KINDS` is in the order in which they are applied within one effect.
"""

from typing import cast

from agent.core.changes import Kind
from agent.resources import (
    boot,
    browser_policy,
    console,
    desktop,
    kernel,
    kiosk_user,
    locale,
    network,
    office,
    printing,
    session,
    sound,
    start_page,
    storage,
    time,
    units,
)

_MODULES = (
    units,
    network,
    kiosk_user,
    start_page,
    browser_policy,
    office,
    desktop,
    console,
    storage,
    kernel,
    boot,
    time,
    locale,
    sound,
    printing,
    session,
)
KINDS = tuple(cast(Kind, module) for module in _MODULES)
