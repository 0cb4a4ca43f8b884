"""The sites of a citizen's and a business's way, by their real names: serve.py ADDRESS FOLDER MARK.

INPS with a sign-in at an identity provider, the one-stop shop with a filing and
its receipt, certified mail with an attachment; each as plain as its like is.
FOLDER has `tls.pem` (certificate and key for the names); what was asked for is a
line in its `log`, what was handed in a file in its `received`. MARK is in all
that a citizen gets to see. Runs inside a machine, under Debian's own Python.
"""

import email
import html
import ssl
import sys
from collections.abc import Callable
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

INPS, SPID = "www.inps.it", "posteid.poste.it"
SHOP, SHOP_LOGIN = "www.impresainungiorno.gov.it", "login.infocamere.it"
MAIL = "webmail.pec.it"
WORD = "prova-1"
"""What every sign-in takes; it exists in the test's lab only."""

STYLE = """
body{margin:0;font:24px/1.4 "Noto Sans",sans-serif;color:#17324d}
header{background:#17324d;color:#fff;padding:.5em 1em;font-weight:bold}
main{padding:.5em 1em} h1{font-size:1.4em;margin:.3em 0}
.go{display:inline-block;font:inherit;font-weight:bold;color:#fff;background:#0066cc;border:0;
border-radius:4px;padding:.4em 2em;text-decoration:none}
.two{background:#008758} input{font:inherit;width:16em} input[type=file]{width:100%}
::file-selector-button{font:inherit;font-weight:bold;color:#fff;background:#008758;border:0;
border-radius:4px;padding:.4em 2em} label{display:block}
td{padding:.2em 1em .2em 0}
@media print{.go{display:none}}
"""
"""The first thing to press on a page is blue, the second is green."""


def page(title: str, owner: str, body: str) -> bytes:
    """A page as a public body makes it."""
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    text = f"<header>{owner}</header><main><h1>{title}</h1>{body}</main>"
    return f'<!doctype html><html lang="it">{head}<body>{text}</body></html>'.encode()


def sign_in(owner: str, to: str) -> bytes:
    """A form for a name and a word; the page to go to afterwards is handed through."""
    fields = (
        f'<input type="hidden" name="to" value="{html.escape(to)}">'
        '<p><label>Nome utente <input name="user" autofocus></label></p>'
        '<p><label>Password <input name="word" type="password"></label></p>'
    )
    return page(
        "Accedi",
        owner,
        f'<form method="post" action="/entra">{fields}<button class="go">Entra</button></form>',
    )


def posted(action: str) -> bytes:
    """A page whose form sends itself, as an identity provider's answer does."""
    form = f'<form method="post" action="{action}"></form><script>document.forms[0].submit()</script>'
    return page("Un momento", "", form)


def document(title: str, mark: str) -> bytes:
    """A PDF of one page."""
    words = "BT /F1 28 Tf 60 740 Td ({}) Tj /F1 18 Tf 0 -60 Td ({}) Tj 0 -30 Td ({}) Tj ET".format(
        title, "Protocollo n. 4711 del 23/11/2026", mark
    ).encode("latin-1")
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


class Handler(BaseHTTPRequestHandler):
    """All the sites, by the name that was asked for."""

    folder: Path
    mark: str

    def do_GET(self) -> None:  # the name http.server looks for
        """Pages, redirects and documents."""
        self._route()

    def do_POST(self) -> None:
        """Forms, sent by a press or by themselves."""
        self._route()

    def _route(self) -> None:
        self.host, parts = (self.headers.get("Host") or "").lower(), urlsplit(self.path)
        with (self.folder / "log").open("a") as log:
            log.write(f"{self.host} {self.command} {parts.path}\n")
        length = int(self.headers.get("Content-Length") or 0)
        self.body, self.query = self.rfile.read(length), parts.query
        act = ROUTES.get((self.command, self.host, parts.path))
        if act is None:
            self.answer(page("Non trovato", "", ""), status=404)
        else:
            act(self)

    def fields(self) -> dict[str, str]:
        """Of the form that was sent, or of the address."""
        return {name: values[0] for name, values in parse_qs(self.body.decode() or self.query).items()}

    def to(self, where: str) -> None:
        """Send on."""
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, content: bytes, kind: str = "text/html; charset=utf-8", **more: object) -> None:
        """Answer with a page, or with a document to keep (`name`)."""
        self.send_response(int(str(more.get("status", 200))))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if "name" in more:
            self.send_header("Content-Disposition", f'attachment; filename="{more["name"]}"')
        if "cookie" in more:
            self.send_header("Set-Cookie", f"persona={more['cookie']}; Max-Age=86400; Secure")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: the log is the file."""


def _inps(asker: Handler) -> None:
    body = '<p>Pensioni, assegni e certificati.</p><p><a class="go" href="/accedi">Entra con SPID</a></p>'
    asker.answer(page("INPS", "Istituto nazionale previdenza sociale", body))


def _inps_in(asker: Handler) -> None:
    asker.to(f"https://{SPID}/accedi?to={quote(f'https://{INPS}/acs')}")


def _ask(asker: Handler) -> None:
    asker.answer(sign_in(asker.host, asker.fields()["to"]))


def _enter(asker: Handler) -> None:
    fields = asker.fields()
    if fields.get("word") != WORD:
        asker.answer(page("Password sbagliata", asker.host, ""), status=403)
    else:
        asker.answer(posted(fields["to"]))


def _inps_acs(asker: Handler) -> None:
    asker.to("/cedolino")


def _slip(asker: Handler) -> None:
    rows = "".join(
        f"<tr><td>{name}</td><td>{amount}</td></tr>"
        for name, amount in (
            ("Pensione lorda", "1.120,00 €"),
            ("Trattenute", "168,00 €"),
            ("Netto", "952,00 €"),
        )
    )
    body = (
        f"<p>Maria Rossi, {asker.mark}</p><table>{rows}</table>"
        '<p><button class="go" onclick="print()">Stampa</button></p>'
        f'<script>localStorage.setItem("persona", "{asker.mark}")</script>'
    )
    asker.answer(page("Cedolino della pensione", "INPS", body), cookie=asker.mark)


def _shop(asker: Handler) -> None:
    body = '<p>Aprire o cambiare un\'attività.</p><p><a class="go" href="/accedi">Accedi</a></p>'
    asker.answer(page("Impresa in un giorno", "Sportello unico attività produttive", body))


def _shop_in(asker: Handler) -> None:
    asker.to(f"https://{SHOP_LOGIN}/accedi?to={quote(f'https://{SHOP}/pratica')}")


def _filing(asker: Handler) -> None:
    body = (
        '<form method="post" action="/invia" enctype="multipart/form-data">'
        '<p><label>Modulo compilato (PDF): <input type="file" name="documento" autofocus></label></p>'
        '<p><button class="go">Invia la pratica</button></p></form>'
        '<script>document.querySelector("input").onchange = event => {'
        'document.title = "Scelto " + event.target.files[0].name}</script>'
    )
    asker.answer(page("Nuova pratica", "Sportello unico attività produttive", body))


def _file(asker: Handler) -> None:
    head = f"Content-Type: {asker.headers['Content-Type']}\r\n\r\n".encode()
    for part in email.message_from_bytes(head + asker.body, policy=HTTP).iter_parts():
        name, content = Path(part.get_filename() or "").name, part.get_payload(decode=True)
        if name and isinstance(content, bytes):
            (asker.folder / "received" / name).write_bytes(content)
    asker.to("/inviata")


def _filed(asker: Handler) -> None:
    body = (
        f"<p>La pratica è stata ricevuta. {asker.mark}</p>"
        '<p><a class="go" href="/ricevuta.pdf">Leggi la ricevuta</a></p>'
        '<p><a class="go two" href="/ricevuta-firmata.pdf">Scarica la ricevuta</a></p>'
    )
    asker.answer(page("Pratica inviata", "Sportello unico attività produttive", body))


def _receipt(asker: Handler) -> None:
    asker.answer(document("Ricevuta della pratica SUAP", asker.mark), "application/pdf")


def _receipt_to_keep(asker: Handler) -> None:
    receipt = document("Ricevuta della pratica SUAP", asker.mark)
    asker.answer(receipt, "application/pdf", name="ricevuta-suap.pdf")


def _mail(asker: Handler) -> None:
    asker.answer(sign_in("Posta elettronica certificata", f"https://{MAIL}/posta"))


def _box(asker: Handler) -> None:
    body = (
        "<table><tr><td>23/11</td><td>Comune di Prova</td><td>Ricevuta di accettazione</td></tr></table>"
        f"<p>Gentile impresa, in allegato il protocollo della pratica. {asker.mark}</p>"
        '<p><a class="go" href="/allegato">Scarica l\'allegato (protocollo.pdf)</a></p>'
    )
    asker.answer(page("Posta in arrivo", "Posta elettronica certificata", body), cookie=asker.mark)


def _attachment(asker: Handler) -> None:
    kept = document("Comune di Prova: protocollo", asker.mark)
    asker.answer(kept, "application/pdf", name="protocollo.pdf")


ROUTES: dict[tuple[str, str, str], Callable[[Handler], None]] = {
    ("GET", INPS, "/"): _inps,
    ("GET", INPS, "/accedi"): _inps_in,
    ("GET", SPID, "/accedi"): _ask,
    ("POST", SPID, "/entra"): _enter,
    ("POST", INPS, "/acs"): _inps_acs,
    ("GET", INPS, "/cedolino"): _slip,
    ("GET", SHOP, "/"): _shop,
    ("GET", SHOP, "/accedi"): _shop_in,
    ("GET", SHOP_LOGIN, "/accedi"): _ask,
    ("POST", SHOP_LOGIN, "/entra"): _enter,
    ("POST", SHOP, "/pratica"): _filing,
    ("POST", SHOP, "/invia"): _file,
    ("GET", SHOP, "/inviata"): _filed,
    ("GET", SHOP, "/ricevuta.pdf"): _receipt,
    ("GET", SHOP, "/ricevuta-firmata.pdf"): _receipt_to_keep,
    ("GET", MAIL, "/"): _mail,
    ("POST", MAIL, "/entra"): _enter,
    ("POST", MAIL, "/posta"): _box,
    ("GET", MAIL, "/allegato"): _attachment,
}


def main(address: str, folder: str, mark: str) -> None:
    """Serve until the end of the process."""
    Handler.folder, Handler.mark = Path(folder), mark
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Handler.folder / "tls.pem")
    server = ThreadingHTTPServer((address, 443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    (Handler.folder / "received").mkdir(exist_ok=True)
    (Handler.folder / "log").write_text("")
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
