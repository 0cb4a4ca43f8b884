"""The front's papers on disk: its identity, the revocation list, a signing request that is under way.

Each is one file that is replaced by rename, so a kill -9 at any moment leaves
the old or the new. Key and certificate are in the same file for that reason.
What needs a look into a certificate is done by agent.helpers.request.
"""

import asyncio
import base64
import hashlib
import logging
import re
import ssl
import sys
from datetime import datetime, timedelta

from agent.core.paperwork import CheckCertificate, CheckRevocations, MakeRequest, Paper, Task
from agent.settings import Paths
from agent.trust import write_private
from contract.identity import station_name
from contract.sentence import Sentence, sentence
from contract.wire import ContractError, decode, encode

RENEW_BEFORE = timedelta(days=122)
"""A certificate lives a year and is renewed at two thirds of it. Counted from the end,
because leaf certificates begin at the epoch."""

AGAIN_AFTER_S = 3600.0
"""Not to be renewed again within this, should a CA issue certificates that are due at once."""

HELPER_TIMEOUT_S = 20.0

_log = logging.getLogger("lab-agent.front")
_request_pem = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\s(.+?)-----END CERTIFICATE REQUEST-----", re.DOTALL
)


class Renewal:
    """Asks for a new certificate in time, and takes certificates and revocation lists in."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._not_before = float("-inf")
        self._busy = asyncio.Lock()
        self.signing_request = _pending_request(paths)
        """The request (DER) that waits for its certificate, or None."""

    def due(self, expires: datetime, now: datetime) -> bool:
        """Whether to make a signing request: the certificate's last third has begun and none waits yet."""
        return (
            self.signing_request is None
            and expires - now <= RENEW_BEFORE
            and asyncio.get_running_loop().time() >= self._not_before
        )

    async def make_request(self, station: str) -> None:
        """Make a key and a signing request; `signing_request` has it afterwards."""
        async with self._busy:
            paper = await run_helper(MakeRequest(station))
            if paper.error:
                self._not_before = asyncio.get_running_loop().time() + AGAIN_AFTER_S
                _log.error("no signing request could be made: %s", paper.error)
                return
            wrapped = base64.encodebytes(paper.der)
            write_private(
                self._paths.pending_key_file,
                paper.pem
                + b"-----BEGIN CERTIFICATE REQUEST-----\n"
                + wrapped
                + b"-----END CERTIFICATE REQUEST-----\n",
            )
            self.signing_request = paper.der
            _log.info("the certificate is about to end; a new one is asked for")

    async def take_certificate(self, certificate: bytes, lab: str, station: str) -> Sentence | None:
        """Put the renewed certificate (DER) to use; None when that is done, else why not.

        The same certificate again, after it was taken, is as good as done.
        """
        async with self._busy:
            try:
                key_pem = self._paths.pending_key_file.read_bytes()
            except FileNotFoundError:
                held = ssl.DER_cert_to_PEM_cert(certificate).split() if certificate else []
                if held and held == _certificate_lines(self._paths):
                    return None
                return sentence("no certificate was asked for")
            ca = ssl.PEM_cert_to_DER_cert(self._paths.ca_file.read_text())
            task = CheckCertificate(certificate, ca, station_name(lab, station), key_pem)
            paper = await run_helper(task)
            if paper.error:
                return paper.error
            write_private(self._paths.identity_file, paper.pem)
            # A kill -9 here leaves a request for which there is a certificate already: one renewal too many.
            self._paths.pending_key_file.unlink(missing_ok=True)
            self.signing_request = None
            self._not_before = asyncio.get_running_loop().time() + AGAIN_AFTER_S
            _log.info("the certificate was renewed")
            return None

    async def take_revocations(self, revocations: bytes, held: int) -> Sentence | None:
        """Store a revocation list (DER) that is the CA's and newer than number `held`; None or why not."""
        async with self._busy:
            pem = self._paths.ca_file.read_text()
            paper = await run_helper(CheckRevocations(revocations, ssl.PEM_cert_to_DER_cert(pem)))
            if paper.error:
                return paper.error
            if paper.number < held:
                return sentence(
                    "revocation list {number} is older than {held}, which is known already",
                    number=paper.number,
                    held=held,
                )
            if paper.number > held:
                head = revocations_head(pem, paper.number)
                write_private(self._paths.revocations_file, head.encode() + paper.pem)
                _log.info("revocation list %d is in force", paper.number)
            return None


def revocations_head(ca_pem: str, number: int) -> str:
    """The line above a stored list: whose it is and which, so that it need not be parsed to know."""
    return f"list {number} of {hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca_pem)).hexdigest()}\n"


async def run_helper(task: Task) -> Paper:
    """What the helper makes of `task`; a helper that fails is a Paper with an error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.helpers.request",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(encode(task)), HELPER_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Paper(
            error=sentence("the helper did not answer within {count} s", count=round(HELPER_TIMEOUT_S))
        )
    try:
        return decode(Paper, out)
    except ContractError:
        return Paper(
            error=sentence(
                "the helper ended with code {code}; see the PC's journal", code=process.returncode or 0
            )
        )


def _pending_request(paths: Paths) -> bytes | None:
    try:
        found = _request_pem.search(paths.pending_key_file.read_bytes())
    except FileNotFoundError:
        return None
    return base64.b64decode(found[1]) if found else None


def _certificate_lines(paths: Paths) -> list[str]:
    try:
        text = paths.identity_file.read_text()
    except FileNotFoundError:
        return []
    return text[text.find("-----BEGIN CERTIFICATE-----") :].split()
