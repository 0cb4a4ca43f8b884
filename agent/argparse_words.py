"""Sentences of argparse that a technician at the PC meets; it asks our catalogue for them (words.py).

Nothing imports this: it is here for the extractor, which does not read Python's own library.
tests/unit/cli/test_catalogues.py holds it against the interpreter's argparse.
"""

from agent.words import mark

WORDS = (
    mark("usage: "),
    mark("positional arguments"),
    mark("options"),
    mark("show this help message and exit"),
    mark("show program's version number and exit"),
    mark("the following arguments are required: %s"),
    mark("argument %(argument_name)s: %(message)s"),
    mark("invalid choice: %(value)r (choose from %(choices)s)"),
    mark("unrecognized arguments: %s"),
    mark("%(prog)s: error: %(message)s\n"),
)
