"""Attempts to leave the kiosk: a table, each row with what it must not reach and a control that does.

A row is tried first on a PC that the lab does not manage, where it has to get
out, and then on a locked one, where it must not: a row whose control fails is
an error of the row, not a pass. `make breakouts` prints the table.
"""
