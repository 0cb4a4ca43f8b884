"""page.py ADDRESS: a site with one page as heavy as pages are, for a browser on a weak PC.

2.6 MB in 29 requests: a page of 300 articles, 180 KB of rules, 560 KB of script
that is read whole and makes another 3,000 elements, 24 pictures of 400 by 300
points in which no two points are alike. Its title is "Pronto" when all of that
is there and has been drawn.
"""

import random
import struct
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARTICLES, PICTURES, MADE = 300, 24, 3000
WIDTH, HEIGHT = 400, 300
WORDS = [
    "anagrafe",
    "certificato",
    "domanda",
    "pagamento",
    "ricevuta",
    "sportello",
    "servizio",
    "modulo",
    "scadenza",
    "contributo",
]


def picture(number: int) -> bytes:
    """A PNG, eight bits of a palette, as large as a photograph of that size."""
    dice = random.Random(number)
    rows = b"".join(b"\0" + bytes(dice.getrandbits(4) * 16 for _ in range(WIDTH)) for _ in range(HEIGHT))
    palette = bytes(value for step in range(256) for value in (step, 255 - step, number * 7 % 256))
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def words(dice: random.Random, count: int) -> str:
    """That many of them."""
    return " ".join(dice.choice(WORDS) for _ in range(count))


def page() -> str:
    """The page itself."""
    dice = random.Random(1)
    articles = "".join(
        f'<article class="a{at}"><h2>{words(dice, 5)}</h2><p>{words(dice, 60)}</p>'
        + (f'<img src="/{at}.png" width="{WIDTH}" height="{HEIGHT}" alt="">' if at < PICTURES else "")
        + f'<form><input name="n{at}"><button>{words(dice, 1)}</button></form></article>'
        for at in range(ARTICLES)
    )
    return (
        '<!doctype html><html lang="it"><meta charset="utf-8"><title>Si carica</title>'
        '<link rel="stylesheet" href="/rules.css">'
        + "".join(f'<script defer src="/{at}.js"></script>' for at in range(3))
        + f"<body>{articles}<footer></footer></body></html>"
    )


def rules() -> str:
    """Rules of style, a few for each article."""
    return "".join(
        f".a{at % ARTICLES} > p:nth-child({at % 7 + 1}) "
        f"{{ color: #{at * 37 % 4096:03x}; margin: {at % 9}px }}\n"
        for at in range(3400)
    )


def script(number: int) -> str:
    """A third of the script; the last one makes the elements and says when all is drawn."""
    functions = "".join(
        f"function f{number}_{at}(x) "
        f"{{ let s = x; for (let i = 0; i < {at % 50}; i++) s += i * {at}; return s }}\n"
        f"window.sum = (window.sum || 0) + f{number}_{at}({at});\n"
        for at in range(1400)
    )
    if number < 2:
        return functions
    return (
        functions
        + f"""
const foot = document.querySelector("footer");
for (let i = 0; i < {MADE}; i++) {{
  const made = document.createElement("span");
  made.textContent = "voce " + i + " " + Math.round(window.sum);
  foot.append(made, " ");
}}
addEventListener("load", () => requestAnimationFrame(() => requestAnimationFrame(() => {{
  document.title = "Pronto";
}})));
"""
    )


def main(address: str) -> None:
    """Serve until the end of the process; the first line printed says that it does."""
    files = {"/": ("text/html; charset=utf-8", page().encode()), "/rules.css": ("text/css", rules().encode())}
    files |= {f"/{at}.js": ("text/javascript", script(at).encode()) for at in range(3)}
    files |= {f"/{at}.png": ("image/png", picture(at)) for at in range(PICTURES)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the name http.server looks for
            kind, body = files.get(self.path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer((address, 80), Handler)
    print(f"{len(files)} files, {sum(len(body) for _kind, body in files.values())} bytes", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
