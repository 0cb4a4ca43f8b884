"""What crosses between the controller and an agent: frozen structs, no I/O.

This package imports nothing of ours and nothing but msgspec from outside, so
that either side can load it cheaply and neither can hide behaviour in it.
Within one contract version an unknown field is an error, not a surprise.
"""
