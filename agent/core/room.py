"""Whether a session has room left. Nothing heavy here: who says so lives as long as the session."""

MARK = "/run/lab-session/full"
"""Is there while the session has no room left; agent/helpers/attendant.py sees to that."""

LITTLE, ENOUGH = 0.03, 0.06
"""Of what a place holds: less is no room left, and then it is room again only above the second."""


def is_full(left: float, was: bool) -> bool:
    """Of the fraction that is left where least is; `was` it full so far?"""
    return left < (ENOUGH if was else LITTLE)
