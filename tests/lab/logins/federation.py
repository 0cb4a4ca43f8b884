"""A small federation of the lab's own: federation.py ADDRESS LOG. One process, several host names.

A citizen's way through a public service, as SAML 2.0 has it: the service
provider redirects to a gateway, whose page posts a form by itself to the
identity provider, whose page has the sign-in in a frame of another host, with a
script of a fourth; the signed answer is posted back to the service provider,
which checks it. Every request is a line of the log: host, method, path.
Runs inside a machine, under the controller's Python (signxml, lxml, cryptography).
"""

import base64
import html
import secrets
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.exceptions import InvalidSignature
from signxml.signer import XMLSigner
from signxml.verifier import XMLVerifier

SERVICE, GATEWAY, PROVIDER = "servizi.prova.test", "accesso.prova.test", "idp.federa.test"
FRAME, SCRIPTS = "otp.federa.test", "static.federa.test"
ACS, SSO = f"http://{SERVICE}/acs", f"http://{PROVIDER}/sso"
USER, WORD = "cittadina", "prova-1"
"""What the sign-in of this federation takes; it exists in the test's lab only."""

SAMLP, SAML = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"
OK = "urn:oasis:names:tc:SAML:2.0:status:Success"
MAX_BODY = 64 * 1024

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PROVIDER)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


CERTIFICATE = _certificate()
asked: set[str] = set()
"""Ids of the requests that the service provider has made and that nobody has answered yet."""


def request() -> str:
    """A fresh AuthnRequest of the service provider."""
    number = f"_{secrets.token_hex(16)}"
    asked.add(number)
    return (
        f'<samlp:AuthnRequest xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="{number}" Version="2.0" '
        f'IssueInstant="{_instant()}" Destination="{SSO}" AssertionConsumerServiceURL="{ACS}">'
        f"<saml:Issuer>http://{SERVICE}</saml:Issuer></samlp:AuthnRequest>"
    )


def response(to: str) -> bytes:
    """The identity provider's signed answer to the request with the id `to`."""
    until = _instant(timedelta(minutes=5))
    text = (
        f'<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="_{secrets.token_hex(16)}" '
        f'Version="2.0" IssueInstant="{_instant()}" Destination="{ACS}" InResponseTo="{to}">'
        f"<saml:Issuer>http://{PROVIDER}</saml:Issuer>"
        f'<samlp:Status><samlp:StatusCode Value="{OK}"/></samlp:Status>'
        f'<saml:Assertion ID="_{secrets.token_hex(16)}" Version="2.0" IssueInstant="{_instant()}">'
        f"<saml:Issuer>http://{PROVIDER}</saml:Issuer><saml:Subject><saml:NameID>{USER}</saml:NameID></saml:Subject>"
        f'<saml:Conditions NotOnOrAfter="{until}"><saml:AudienceRestriction>'
        f"<saml:Audience>http://{SERVICE}</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
        "</saml:Assertion></samlp:Response>"
    )
    key = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = XMLSigner().sign(etree.fromstring(text), key=key, cert=CERTIFICATE.decode())
    return bytes(etree.tostring(signed))


def signed_in(answer: bytes) -> str:
    """Who the identity provider says signed in. Raises ValueError for an answer that does not count."""
    try:
        checked = XMLVerifier().verify(answer, x509_cert=CERTIFICATE.decode())
    except (InvalidSignature, etree.XMLSyntaxError) as error:
        raise ValueError(str(error)) from error
    if isinstance(checked, list) or checked.signed_xml is None:
        raise ValueError("not one signed document")
    names = {"samlp": SAMLP, "saml": SAML}
    signed = checked.signed_xml
    number = str(signed.get("InResponseTo"))
    if number not in asked:
        raise ValueError("an answer to nothing that was asked")
    asked.discard(number)
    for limit in signed.iterfind(".//saml:Conditions", names):
        if datetime.fromisoformat(str(limit.get("NotOnOrAfter"))) < datetime.now(UTC):
            raise ValueError("too late")
    return str(signed.findtext(".//saml:NameID", namespaces=names))


def _instant(later: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + later).isoformat(timespec="seconds")


def page(title: str, body: str) -> bytes:
    """A page in the lab's plain style."""
    style = (
        "body{margin:0;font:24px sans-serif} iframe{border:0;width:100%;height:500px}"
        "input,a,button{display:block;width:100%;height:100px;font:inherit}"
    )
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{style}</style>'
    return f'<!doctype html><html lang="it">{head}<body>{body}</body></html>'.encode()


def posted(action: str, **fields: str) -> bytes:
    """A page whose form sends itself."""
    inputs = "".join(f'<input type="hidden" name="{k}" value="{html.escape(v)}">' for k, v in fields.items())
    form = f'<form method="post" action="{action}">{inputs}</form><script>document.forms[0].submit()</script>'
    return page("Un momento", form)


class Handler(BaseHTTPRequestHandler):
    """All hosts of the federation, by the name that was asked for."""

    log: Path

    def do_GET(self) -> None:
        """Redirects, pages, the frame and the script."""
        self._route()

    def do_POST(self) -> None:
        """The forms that pages sent, by themselves or by a press of a key."""
        self._route()

    def _route(self) -> None:
        host, path, fields = self._asked()
        try:
            ROUTES[self.command, host, path](self, fields)
        except KeyError:
            self.answer(404, page("Non qui", ""))

    def _asked(self) -> tuple[str, str, dict[str, str]]:
        parts = urlsplit(self.path)
        host = (self.headers.get("Host") or "").lower()
        with self.log.open("a") as written:
            written.write(f"{host} {self.command} {parts.path}\n")
        length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
        fields = parse_qs(self.rfile.read(length).decode() if length else parts.query)
        return host, parts.path, {name: values[0] for name, values in fields.items()}

    def to(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def page(self, body: bytes) -> None:
        self.answer(200, body)

    def answer(self, status: int, body: bytes, kind: str = "text/html; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: the log is the file."""


def _start(asker: Handler, _fields: dict[str, str]) -> None:
    asker.page(page("Sito servizi", '<a href="/login">Entra</a>'))


def _login(asker: Handler, _fields: dict[str, str]) -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(packer.compress(request().encode()) + packer.flush()).decode()
    asker.to(f"http://{GATEWAY}/sso?{urlencode({'SAMLRequest': packed})}")


def _gateway(asker: Handler, fields: dict[str, str]) -> None:
    wanted = zlib.decompress(base64.b64decode(fields["SAMLRequest"]), -15)
    asker.page(posted(SSO, SAMLRequest=base64.b64encode(wanted).decode()))


def _identify(asker: Handler, fields: dict[str, str]) -> None:
    wanted = etree.fromstring(base64.b64decode(fields["SAMLRequest"]))
    frame = f"http://{FRAME}/frame?{urlencode({'to': str(wanted.get('ID'))})}"
    asker.page(page("Identificati", f'<iframe src="{frame}"></iframe>'))


def _frame(asker: Handler, fields: dict[str, str]) -> None:
    form = (
        f'<form method="post" target="_top" action="http://{PROVIDER}/login">'
        f'<input type="hidden" name="to" value="{html.escape(fields["to"])}">'
        '<input name="user" aria-label="Utente"><input name="word" type="password" aria-label="Parola">'
        f'<button disabled>Avanti</button></form><script src="http://{SCRIPTS}/ready.js"></script>'
    )
    asker.page(page("", form))


def _script(asker: Handler, _fields: dict[str, str]) -> None:
    asker.answer(200, b"document.querySelector('button').disabled = false;", "text/javascript")


def _sign_in(asker: Handler, fields: dict[str, str]) -> None:
    if (fields["user"], fields["word"]) != (USER, WORD):
        asker.answer(403, page("Parola sbagliata", ""))
        return
    asker.page(posted(ACS, SAMLResponse=base64.b64encode(response(fields["to"])).decode()))


def _consume(asker: Handler, fields: dict[str, str]) -> None:
    try:
        who = signed_in(base64.b64decode(fields["SAMLResponse"]))
    except ValueError as error:
        asker.answer(403, page(f"Rifiutato: {error}", ""))
    else:
        asker.to(f"/benvenuto?{urlencode({'chi': who})}")


def _welcome(asker: Handler, fields: dict[str, str]) -> None:
    asker.page(page(f"Benvenuta {fields['chi']}", "<p>Sei nel servizio.</p>"))


ROUTES: dict[tuple[str, str, str], Callable[[Handler, dict[str, str]], None]] = {
    ("GET", SERVICE, "/"): _start,
    ("GET", SERVICE, "/login"): _login,
    ("GET", GATEWAY, "/sso"): _gateway,
    ("POST", PROVIDER, "/sso"): _identify,
    ("GET", FRAME, "/frame"): _frame,
    ("GET", SCRIPTS, "/ready.js"): _script,
    ("POST", PROVIDER, "/login"): _sign_in,
    ("POST", SERVICE, "/acs"): _consume,
    ("GET", SERVICE, "/benvenuto"): _welcome,
}


def main(address: str, log: str) -> None:
    """Serve until the end of the process."""
    Handler.log = Path(log)
    server = ThreadingHTTPServer((address, 80), Handler)
    Handler.log.write_text("")
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
