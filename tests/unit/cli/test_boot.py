"""labctl boot password: a hash that GRUB takes, and never the password."""

import hashlib

import msgspec
import pytest

from contract.desired import GrubHash
from controller.cli.boot import grub_hash
from tests.unit.cli.lab import labctl

# What grub-mkpasswd-pbkdf2 of Debian 12 printed for "prova-prova".
SALT = (
    "F4D34572BDF56147F5D768F5A65ACD3429C5C9E2E2F13ABF7F551FCF5F025C1D"
    "2F14730DE640BBBECACE1B6671567376115C3561AF4D821A5352AB39B335A9E8"
)
KEY = (
    "4ED426527A1A159B9EE08F6B407E7056188EBA12A24FC1886A4648C2C21E89B3"
    "B8999569232802942C71A7799776873D0F7E8CA39F95D14621A22C8DB51D6FA4"
)


def test_it_is_the_hash_that_grubs_own_tool_makes() -> None:
    assert grub_hash("prova-prova", bytes.fromhex(SALT)) == f"grub.pbkdf2.sha512.10000.{SALT}.{KEY}"


def test_a_password_becomes_a_hash_and_is_not_told() -> None:
    done = labctl("boot", "password", stdin="quartiere7\n")
    assert done.returncode == 0, done.stderr
    made = done.stdout.strip()
    msgspec.convert(made, GrubHash)
    rounds, salt, key = made.split(".")[3:]
    again = hashlib.pbkdf2_hmac("sha512", b"quartiere7", bytes.fromhex(salt), int(rounds), 64)
    assert again.hex().upper() == key
    assert "quartiere7" not in done.stdout + done.stderr
    assert labctl("boot", "password", stdin="quartiere7\n").stdout.strip() != made, "another salt each time"


@pytest.mark.parametrize(
    ("text", "says"), [("corta", "too short"), ("", "too short"), ("perché-no1", "American keyboard")]
)
def test_a_password_that_would_not_serve_is_refused(text: str, says: str) -> None:
    done = labctl("boot", "password", stdin=f"{text}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
