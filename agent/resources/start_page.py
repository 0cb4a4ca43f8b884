"""The start page: the ways out of the lab's own front room, as files on the PC itself.

One static page for each language, because a page has one language to whoever
has it read aloud. They need no server, no script and nothing from elsewhere,
so they are there before the network is. The browser's policy names these files
one by one (kiosk_profiles/browser.py): no other `file:` address opens.

A tile of a program leads to a page of its own, which says what happens now. That
it is read is what opens the program (agent/helpers/programs.py): a browser never
lets a page of the web lead to a file.
"""

from collections.abc import Iterator
from functools import lru_cache

from agent.core.changes import Effect, Owned, Plan, Reader
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Language, Resources, StartPage, StartProgram, StartTile, Texts
from contract.sentence import sentence
from contract.start import (
    LANGUAGES,
    PROGRAMS_DIRECTORY,
    program_address,
    program_page,
    start_address,
    start_file,
)

NAME = "start_page"
_CLOSED = sentence("this program is no longer opened here")
_OUT = sentence("the lab no longer manages the start page")
# As html.escape, whose module holds all of HTML's entities: half a megabyte for as long as the PC is on.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Found:
    """The pages."""
    return observe_files((wish.path for wish in _wishes(wanted)), owned, reader)


def plan(wanted: Resources, observed: Found, owned: Owned) -> Plan:
    """A page for each language; none without a section."""
    planner = FilePlanner(NAME, observed, owned)
    wishes = _wishes(wanted)
    wished = {wish.path for wish in wishes}
    why = _OUT if wanted.start_page is None else _CLOSED
    written = (change for wish in wishes for change in planner.put(wish, Effect.NEUTRAL))
    released = (
        change
        for path in owned
        if path.startswith("/") and path not in wished
        for change in planner.release(path, Effect.NEUTRAL, why)
    )
    return (*written, *released, *planner.tidy(wished))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The pages."""
    return tuple(wish.path for wish in _wishes(wanted))


def _wishes(wanted: Resources) -> tuple[FileWish, ...]:
    """A page for each language, and for each program one in each."""
    page = wanted.start_page
    if page is None:
        return ()
    own = ((start_file(language), html(page, language)) for language in LANGUAGES)
    opening = (
        (f"{PROGRAMS_DIRECTORY}/{program_page(one.program, language)}", program_html(page, one, language))
        for one in page.programs
        for language in LANGUAGES
    )
    return tuple(FileWish(path=path, content=text.encode()) for path, text in (*own, *opening))


@lru_cache(maxsize=len(LANGUAGES))  # a look compares the pages, and they hardly ever are others
def html(page: StartPage, language: Language) -> str:
    """The page in one language. Every text is escaped: names come from files that people edit."""
    choices = "".join(_choice(one, language) for one in LANGUAGES)
    programs = "".join(_program_tile(one, language) for one in page.programs)
    tiles = "".join(_tile(tile, language) for tile in page.tiles)
    return f"""{_head(page.title, language)}<body>
<header>
<nav aria-label="{_escaped(_say(page.languages, language)[0])}"><ul>
{choices}</ul></nav>
</header>
<main>
{_element("h1", page.title, language)}
{_element("p", page.about, language, "about")}
<ul class="tiles">
{programs}{tiles}</ul>
{_element("p", page.help, language, "help")}
</main>
</body>
</html>
"""


def program_html(page: StartPage, program: StartProgram, language: Language) -> str:
    """The page that opens a program, and leads back to the start page."""
    title, lang = _say(page.title, language)
    back = f'<a href="{start_address(language)}"{_lang(lang, language)}>{_escaped(title)}</a>'
    return f"""{_head(program.title, language)}<body>
<main>
{_element("h1", program.title, language)}
{_element("p", program.about, language, "about")}
{_element("p", program.opening, language, "help")}
<p>← {back}</p>
</main>
</body>
</html>
"""


def _head(title: Texts, language: Language) -> str:
    return f"""<!DOCTYPE html>
<!-- Written by lab-agent; what is changed here is put back. -->
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escaped(_say(title, language)[0])}</title>
<style>{_STYLE}</style>
</head>
"""


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _choice(language: Language, shown: Language) -> str:
    here = ' aria-current="page"' if language == shown else ""
    file = start_file(language).rpartition("/")[2]
    return (
        f'<li><a href="{file}" lang="{language}" hreflang="{language}"{here}>{LANGUAGES[language]}</a></li>\n'
    )


def _tile(tile: StartTile, language: Language) -> str:
    title, lang = _say(tile.title, language)
    about = _element("p", tile.about, language) if tile.about is not None else ""
    # As the browser's own address bar shows it, so that the two can be compared.
    host = tile.url.partition("://")[2].partition("/")[0].rpartition("@")[2].removeprefix("www.")
    return (
        f'<li><h2><a href="{_escaped(tile.url)}"{_lang(lang, language)}>{_escaped(title)}</a></h2>'
        f'{about}<p class="host">{_escaped(host)}</p></li>\n'
    )


def _program_tile(one: StartProgram, language: Language) -> str:
    title, lang = _say(one.title, language)
    address = program_address(one.program, language)
    return (
        f'<li class="program"><h2><a href="{address}"{_lang(lang, language)}>{_escaped(title)}</a></h2>'
        f"{_element('p', one.about, language)}</li>\n"
    )


def _element(tag: str, texts: Texts, language: Language, name: str = "") -> str:
    text, lang = _say(texts, language)
    css = f' class="{name}"' if name else ""
    return f"<{tag}{css}{_lang(lang, language)}>{_escaped(text)}</{tag}>"


def _say(texts: Texts, language: Language) -> tuple[str, Language]:
    """The words, and the language they turn out to be in."""
    words: dict[Language, str] = {"it": texts.it, "en": texts.en, "ro": texts.ro}
    return (words[language], language) if words[language] else (texts.it, "it")


def _lang(lang: Language, page: Language) -> str:
    return f' lang="{lang}"' if lang != page else ""


def _css() -> Iterator[str]:
    yield "*{box-sizing:border-box}"
    yield "html{font:125%/1.4 'Noto Sans','DejaVu Sans',sans-serif;color:#111;background:#f3f5f8}"
    yield "body{margin:0 auto;max-width:76rem;padding:.5rem 1.25rem 1rem}"
    yield "ul{list-style:none;margin:0;padding:0}"
    yield "header{float:right;margin-left:1rem}"
    yield "nav ul{display:flex;flex-wrap:wrap;gap:.5rem}"
    yield "nav a{display:inline-block;padding:.35rem 1rem;border:2px solid #0b3d6e;border-radius:.5rem;"
    yield "color:#0b3d6e;background:#fff;text-decoration:none}"
    yield "nav a[aria-current]{background:#0b3d6e;color:#fff;font-weight:bold}"
    yield "h1{font-size:1.8rem;line-height:1.2;margin:0 0 .2rem}"
    yield ".about{margin:0 0 .7rem}"
    yield ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,14rem),1fr));gap:.9rem}"
    yield ".tiles li{position:relative;padding:.6rem 1rem;border:2px solid #0b3d6e;border-radius:.75rem;"
    yield "background:#fff;overflow-wrap:anywhere}"
    yield ".tiles .program{border-left-width:.75rem}"
    yield ".tiles li:hover{background:#e3edf8}"
    yield "h2{font-size:1.3rem;line-height:1.25;margin:0}"
    yield "h2 a{color:#0b3d6e}"
    # The whole tile is the link's target, yet only its name is read out as the link.
    yield "h2 a::after{content:'';position:absolute;inset:0;border-radius:.75rem}"
    yield ".tiles p{margin:.3rem 0 0}"
    yield ".tiles .host{color:#4a4a4a;font-size:.85rem}"
    yield ".help{margin:.9rem 0 0;padding:.5rem 1rem;border-left:.5rem solid #0b3d6e;background:#fff}"
    yield "a:focus-visible{outline:4px solid #111;outline-offset:3px;background:#ffd54a;color:#111}"
    yield "h2 a:focus-visible{outline:none;background:none;color:#111}"
    yield "h2 a:focus-visible::after{outline:5px solid #111;box-shadow:0 0 0 11px #ffd54a}"
    yield "@media(forced-colors:active){a:focus-visible,h2 a:focus-visible::after{outline-color:Highlight}}"


_STYLE = "".join(_css())
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
