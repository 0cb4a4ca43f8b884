"""lab-agent's words: complete in Italian, and shown by locale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import catalogues


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_the_catalogue_is_complete_and_current(language: str) -> None:
    domain = catalogues.LAB_AGENT
    new = catalogues.updated(domain, language, catalogues.extracted(domain))
    assert not catalogues.untranslated(new)
    assert not catalogues.wrong(new)
    assert catalogues.po(domain, language).read_bytes() == catalogues.as_po(new)
    assert catalogues.mo(domain, language).read_bytes() == catalogues.as_mo(new), (
        "run python -m tools.catalogues"
    )


@pytest.mark.parametrize(
    ("locale", "word"), [("it_IT.UTF-8", "mai stato"), ("en_GB.UTF-8", "never run"), ("C", "never run")]
)
def test_by_locale(tmp_path: Path, locale: str, word: str) -> None:
    settings = tmp_path / "etc/lab-agent/agent.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('station = "pc-01"\n')
    (tmp_path / "var/lib/lab-agent/enforcer").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "agent.main", "plan", "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": locale, "LANGUAGE": ""},
    )
    assert done.returncode == 1
    assert word in done.stderr
