"""One site: serve.py ADDRESS NAME COLOUR OTHER LOG. Runs inside a machine, under Debian's own Python."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = """<!doctype html><html lang="it"><meta charset="utf-8"><title>Sito {name}</title>
<body style="margin:0;background:{colour};font:24px sans-serif">
<a id="via" href="http://{other}/link" style="display:block;height:50vh;color:#fff">{name}: vai a {other}</a>
</body></html>"""

REMEMBER = """<script>
localStorage.setItem("visita", "{mark}"); sessionStorage.setItem("visita", "{mark}");
indexedDB.open("{mark}", 1); history.replaceState(null, "", "/{mark}"); document.title += " {mark}";
</script>"""
"""What a page can have a browser keep: /ricorda does, with the text in the file LOG.mark."""


def main(address: str, name: str, colour: str, other: str, log: str) -> None:
    """Serve until the end of the process; each path that is asked for is a line in `log`."""
    page = PAGE.format(name=name, colour=colour, other=other).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server looks for
            with Path(log).open("a") as written:
                written.write(self.path + "\n")
            if self.path == "/via":
                self.send_response(302)
                self.send_header("Location", f"http://{other}/redirect")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            text = page
            self.send_response(200)
            if self.path == "/ricorda":
                mark = Path(f"{log}.mark").read_text()
                text += REMEMBER.format(mark=mark).encode()
                self.send_header("Set-Cookie", f"{mark}=1; Max-Age=86400")
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal: the log is the file."""

    server = ThreadingHTTPServer((address, 80), Handler)
    Path(log).write_text("")
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
