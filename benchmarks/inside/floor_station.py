"""On a PC: the least that could be done. Takes a payload by mutual TLS, syncs as the agent does, answers.

python3 floor_station.py PORT FOLDER PEM CA. A request is a line "SIZE SYNCS\n"
and the payload; SYNCS is a letter for each: j a journal's page and fdatasync,
f a new file and fsync, d fsync of the directory. The answer is a line of 2,000 bytes.
"""

import os
import socket
import ssl
import sys

ANSWER = b"a" * 1999 + b"\n"


def sync(kinds: str, payload: bytes, folder: str, journal: int) -> None:
    """As many and the same kinds of syncs as the agent makes."""
    for kind in kinds:
        if kind == "j":
            os.write(journal, payload[:8192].ljust(8192))
            os.fdatasync(journal)
        elif kind == "f":
            file = os.open(f"{folder}/fresh", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(file, payload)
            os.fsync(file)
            os.close(file)
            os.replace(f"{folder}/fresh", f"{folder}/file")  # noqa: PTH105  # as bare as it can be
        else:
            directory = os.open(folder, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)


def main() -> None:
    port, folder, pem, ca = int(sys.argv[1]), *sys.argv[2:5]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pem)
    context.load_verify_locations(ca)
    listener = socket.create_server(("", port))
    print("ready", flush=True)
    plain, _ = listener.accept()
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    journal = os.open(f"{folder}/journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with context.wrap_socket(plain, server_side=True) as line, line.makefile("rb") as reader:
        while head := reader.readline():
            size, kinds = head.decode().rstrip("\n").split(" ")
            sync(kinds, reader.read(int(size)), folder, journal)
            line.sendall(ANSWER)


main()
