"""Where a PC keeps its start page: what the agent writes and the browser's policy opens."""

from contract.desired import Language, Program

LANGUAGES: dict[Language, str] = {"it": "Italiano", "en": "English", "ro": "Română"}
"""The citizens' languages, each by the name it has for itself."""

PROGRAMS_DIRECTORY = "/var/lib/lab-agent/programs"
"""The pages that open programs, as they are kept."""

IN_SESSION = "/run/lab-programs"
"""The same pages as a session sees them: its own copies, which nothing but its programs reads.

systemd/lab-files.service makes them, agent/helpers/programs.py waits for one to be read.
"""

_DIRECTORY = "/var/lib/lab-agent/start"


def start_file(language: Language) -> str:
    """The page in one language."""
    return f"{_DIRECTORY}/{language}.html"


def start_address(language: Language) -> str:
    """The page as a browser is sent to it, and as its policy names it."""
    return f"file://{start_file(language)}"


def program_page(program: Program, language: Language) -> str:
    """The name of the page that opens a program."""
    return f"{program}-{language}.html"


def program_address(program: Program, language: Language) -> str:
    """The page that opens a program, as a browser is sent to it, and as its policy names it."""
    return f"file://{IN_SESSION}/{program_page(program, language)}"
