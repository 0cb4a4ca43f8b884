"""Deciding: pure functions of (wanted, observed, now) that return data."""
