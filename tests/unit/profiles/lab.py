"""A lab's own files laid over what ships, written in a test as texts by path."""

from collections.abc import Mapping
from functools import cache

from kiosk_profiles.library import SHIPPED, Library, Text, read_directory

HALL = """\
title: {it: Sala}
description: {it: Una sala di prova}
start_page: http://portale.test/
allow: [".portale.test"]
"""
"""The smallest profile that passes every check."""


@cache
def shipped() -> Mapping[str, Text]:
    """What ships, read once."""
    return read_directory(SHIPPED, shipped=True)


def library(files: Mapping[str, str | bytes]) -> Library:
    """The library with `files` over what ships; a file is shown by its path."""
    texts = {
        path: Text(text.encode() if isinstance(text, str) else text, path) for path, text in files.items()
    }
    return Library({**shipped(), **texts})
