"""Sentences of click and Typer that a technician meets; they ask our catalogue for them (i18n.py).

Nothing imports this: it is here for the extractor, which does not read installed packages.
tests/unit/cli/test_catalogues.py holds it against the installed click.
"""

from gettext import ngettext

from controller.cli.i18n import mark

WORDS = (
    mark("Usage:"),
    mark("Arguments"),
    mark("Options"),
    mark("Commands"),
    mark("Show this message and exit."),
    mark("Try '{command} {option}' for help."),
    mark("Error: {message}"),
    mark("Missing command."),
    mark("Missing argument"),
    mark("Missing option"),
    mark("No such option: {name}"),
    mark("Invalid value: {message}"),
    mark("Invalid value for {param_hint}: {message}"),
    mark("{value!r} is not a valid {number_type}."),
    mark("{value} is not in the range {range}."),
    mark("Option {name!r} does not take a value."),
    mark("Aborted!"),
    mark("Error: invalid input"),
    mark("env var: {var}"),
    mark("default: {default}"),
    mark("required"),
    ngettext("Did you mean {possibility}?", "(Possible options: {possibilities})", 1),
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", 1),
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", 1),
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", 1),
)
