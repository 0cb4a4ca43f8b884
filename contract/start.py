"""Where a PC keeps its start page: what the agent writes and the browser's policy opens."""

from contract.desired import Language

LANGUAGES: dict[Language, str] = {"it": "Italiano", "en": "English", "ro": "Română"}
"""The citizens' languages, each by the name it has for itself."""

_DIRECTORY = "/var/lib/lab-agent/start"


def start_file(language: Language) -> str:
    """The page in one language."""
    return f"{_DIRECTORY}/{language}.html"


def start_address(language: Language) -> str:
    """The page as a browser is sent to it, and as its policy names it."""
    return f"file://{start_file(language)}"
