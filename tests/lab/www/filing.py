"""A one-stop shop: a form that takes a document, and the receipt for it.

filing.py ADDRESS FOLDER MARK, inside a machine, under Debian's own Python. What
is handed in is a file in FOLDER by the name it was sent under; the receipt is a
PDF with MARK in it.
"""

import email
import sys
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FORM = """<!doctype html><html lang="it"><meta charset="utf-8"><title>Sportello</title>
<body style="font:24px sans-serif;margin:2em"><h1>Sportello unico</h1>
<form method="post" action="/istanza" enctype="multipart/form-data">
<p><label>Documento: <input type="file" name="documento" autofocus style="font-size:24px"></label></p>
<p><button style="font-size:24px">Invia</button></p></form>
<script>document.querySelector("input").onchange = (e) => {
  document.title = "Scelto " + e.target.files[0].name; document.querySelector("button").focus(); }</script>"""
DONE = """<!doctype html><html lang="it"><meta charset="utf-8"><title>Istanza ricevuta</title>
<body style="font:24px sans-serif;margin:2em"><h1>Istanza ricevuta</h1>
<p><a id="ricevuta" href="/ricevuta.pdf">Scarica la ricevuta</a></p>
<script>document.getElementById("ricevuta").focus(); document.title = "Ricevuta pronta"</script>"""


def receipt(mark: str) -> bytes:
    """A PDF of one page that says `mark`."""
    words = f"BT /F1 24 Tf 72 720 Td (Ricevuta {mark}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(words), words),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    written, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(written)
    return written + b"xref\n0 6\n0000000000 65535 f \n" + table + tail


def main(address: str, folder: str, mark: str) -> None:
    """Serve until the end of the process."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server looks for
            if self.path == "/ricevuta.pdf":
                self._answer(receipt(mark), "application/pdf", attachment=True)
            elif self.path == "/mostra.pdf":
                self._answer(receipt(mark), "application/pdf")
            else:
                self._answer(FORM.encode(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            for part in email.message_from_bytes(head + body, policy=HTTP).iter_parts():
                name = Path(part.get_filename() or "").name
                content = part.get_payload(decode=True)
                if name and isinstance(content, bytes):
                    Path(folder, name).write_bytes(content)
            self._answer(DONE.encode(), "text/html; charset=utf-8")

        def _answer(self, content: bytes, kind: str, *, attachment: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            if attachment:
                self.send_header("Content-Disposition", 'attachment; filename="ricevuta.pdf"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal: what counts is in the folder."""

    Path(folder).mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer((address, 80), Handler)
    Path(folder, ".ready").touch()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
