"""Whether the browser that is installed is the one that its policy was checked with: pure."""

from contract.sentence import Sentence, sentence

PACKAGE = "chromium"


def other_version(installed: str | None, checked: int) -> Sentence | None:
    """What to tell the technician of the installed version (as dpkg writes it); None where there is nothing.

    `checked` is the major version that the policy was checked with, 0 where nobody says. A browser that
    is not installed is another matter.
    """
    major = (installed or "").partition(".")[0]
    if not checked or not installed or major == str(checked):
        return None
    return sentence(
        "Chromium {installed} is installed, and its policy was checked with {checked}; the PC stays locked."
        " On a machine with {installed} run labctl profile check --chromium; if all is well, say"
        " chromium: {installed} below browser: in layers/lab.yaml, and publish",
        installed=major,
        checked=checked,
    )
