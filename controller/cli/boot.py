"""labctl boot: what keeps strangers out of how a PC starts."""

import hashlib
import secrets
import sys

import typer

from controller.cli.apps import noun
from controller.cli.errors import Failure
from controller.cli.i18n import _
from controller.cli.render import say, warn

app = noun(_("How the PCs start."))

ROUNDS = 10_000
"""Of PBKDF2, as grub-mkpasswd-pbkdf2 has it: GRUB itself computes them, on the PC's firmware."""
SALT_BYTES = 64
SHORTEST = 8


@app.callback()
def _boot() -> None:
    """Keeps `password` a command of the noun while it is its only one."""


@app.command(help=_("Make the hash of a password for GRUB, to be written into a layer."))
def password() -> None:
    """The command: asks twice on a terminal, or reads one line; prints the hash and nothing else."""
    if sys.stdin.isatty():
        text = typer.prompt(_("Password for GRUB"), hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = sys.stdin.readline().rstrip("\n")
    if len(text) < SHORTEST:
        raise Failure(
            _("the password is too short."), _("Take at least {count} characters.").format(count=SHORTEST)
        )
    if not (text.isascii() and text.isalnum()):
        # GRUB knows no other keyboard; on Italian ones these are where it expects them.
        raise Failure(
            _("the password has characters that GRUB's American keyboard has elsewhere."),
            _("Take letters without accents, and digits."),
        )
    say(grub_hash(text, secrets.token_bytes(SALT_BYTES)))
    if sys.stderr.isatty():
        warn(_("Write it into layers/lab.yaml, and publish:"))
        warn("  boot: {password_hash: grub.pbkdf2...}")
        warn(_("At GRUB's prompt the user is lab."))


def grub_hash(text: str, salt: bytes) -> str:
    """What GRUB's password_pbkdf2 takes: PBKDF2 with SHA-512, 64 bytes, in capitals."""
    key = hashlib.pbkdf2_hmac("sha512", text.encode(), salt, ROUNDS, 64)
    return f"grub.pbkdf2.sha512.{ROUNDS}.{salt.hex().upper()}.{key.hex().upper()}"
