"""Which of the files that come and go among the downloads were refused."""

from agent.citizen.refusals import FIRST_NAME, Refusals

FILE = f"{FIRST_NAME}a1B2c3"


def test_a_download_that_never_gets_its_name_was_refused() -> None:
    folder = Refusals()
    folder.appeared(FILE)
    assert folder.deleted(FILE)
    assert not folder.deleted(FILE), "once"


def test_one_that_gets_its_name_was_not() -> None:
    folder = Refusals()
    folder.appeared(FILE)
    folder.named(FILE)
    folder.appeared("elenco.pdf.crdownload")
    assert not folder.deleted(FILE)
    assert not folder.deleted("elenco.pdf.crdownload"), "the citizen has stopped it"


def test_who_makes_files_without_end_costs_no_memory() -> None:
    folder = Refusals()
    names = [f"{FIRST_NAME}{number}" for number in range(100_000)]
    for name in names:
        folder.appeared(name)
    told = [name for name in names if folder.deleted(name)]
    assert 0 < len(told) < 100
    folder.appeared(FILE)
    assert folder.deleted(FILE)
