"""A site: serve.py SPEC, one JSON object {address, log, pages}. Runs under the machine's own Python.

Whoever asks for anything, by whatever port and protocol, is a line in the log:
client's address, port, and what was asked. `pages` maps a path to type, further
headers and body; every other path is a plain page.
"""

import json
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PLAIN = "<!doctype html><html lang='it'><meta charset='utf-8'><title>Fuori</title><body>fuori</body></html>"
TCP, UDP = (443, 8080, 8443, 2222), (53, 443, 3478, 9)


def main(spec: str) -> None:
    """Serve until the end of the process."""
    wanted = json.loads(spec)
    address, log, pages = wanted["address"], Path(wanted["log"]), wanted["pages"]
    lock = threading.Lock()

    def note(client: str, port: int | str, what: str) -> None:
        with lock, log.open("a") as written:
            written.write(f"{client} {port} {what}\n")

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server looks for
            note(self.client_address[0], 80, self.path)
            kind, headers, body = pages.get(self.path.partition("?")[0], ("text/html", {}, PLAIN))
            data = body.encode()
            self.send_response(302 if "Location" in headers else 200)
            for name, value in {"Content-Type": f"{kind}; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_OPTIONS = do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal: the log is the file."""

    class Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            note(self.client_address[0], f"tcp/{self.request.getsockname()[1]}", "connected")

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            note(self.client_address[0], f"udp/{self.request[1].getsockname()[1]}", "sent")

    servers: list[socketserver.BaseServer] = [ThreadingHTTPServer((address, 80), Web)]
    servers += [socketserver.ThreadingTCPServer((address, port), Stream) for port in TCP]
    servers += [socketserver.ThreadingUDPServer((address, port), Datagram) for port in UDP]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    log.write_text("")
    servers[0].serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
