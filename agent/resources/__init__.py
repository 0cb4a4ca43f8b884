"""The resource kinds: one module for each, with what it wants, observes and plans. None writes.

`KINDS` is in the order in which they are applied within one effect.
"""

from typing import cast

from agent.core.changes import Kind
from agent.resources import browser_policy, desktop, kernel, network, start_page, time

KINDS = tuple(cast(Kind, module) for module in (network, start_page, browser_policy, desktop, kernel, time))
