"""chrome://policy of the Chromium on this machine, read for a policy that is in force nowhere else.

Chromium runs as the caller, its sandbox on, without a screen, in namespaces of
its own: there /etc/chromium is a folder of ours and there is no network. So the
real /etc is neither read nor written, no right is needed but that of making
user namespaces, and nobody is called. It is asked over the debugging pipe
(NUL-ended JSON), never a port. docs/decisions/0047 says why this way.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from kiosk_profiles.policy_table import ALLOW_KEY, PolicyState

PROGRAM = "chromium"
START_S = 60.0
"""Longest wait for a first answer; an old PC with a cold disk takes 15."""
READ_S = 30.0
"""Longest wait for a table; 0.3 s where it was tried."""
CLOSE_S = 5.0
"""What it is given to end in order."""
MARK = "LabReading"
"""A policy that does not exist, with the number of the reading: the table that has it is of this document,
and that Chromium calls it unknown shows that it would say so of others."""

_ENTER = (
    *("unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "--net"),
    *("sh", "-c"),
    # The capability to mount ends here; the pipe's two ends are our standard input and output.
    'mount --bind "$1" /etc/chromium && shift && '
    'exec setpriv --inh-caps=-all --ambient-caps=-all "$@" 3<&0 4>&1 </dev/null >&2',
    "sh",
)
_FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-breakpad"),
    *("--password-store=basic", "about:blank"),
)
_POLICY_PAGE = "chrome://policy/"
_WHERE = "document.readyState === 'complete' ? document.URL : ''"
_TABLE = """(async () => {
  const {addWebUiListener, sendWithPromise} = await import('chrome://resources/js/cr.js');
  return await new Promise(done => {
    addWebUiListener('policies-updated', (names, told) => {
      const table = told.policyGroups.chrome.policies;
      if (table.MARK?.value === NUMBER) done({known: names.chrome.policyNames, table});
    });
    sendWithPromise('listenPoliciesUpdates');
    sendWithPromise('reloadPolicies');
  });
})()"""

Trouble = Literal["missing", "root", "namespace", "start", "lost", "strange"]


class Unreadable(Exception):
    """The table could not be had: `trouble` says why, `said` is what the programs said about it."""

    def __init__(self, trouble: Trouble, said: str = "") -> None:
        super().__init__(f"{trouble}: {said}")
        self.trouble: Trouble = trouble
        self.said = said


class PolicyReader:
    """One running Chromium; a with block ends it and removes all it wrote.

    `major` is its major version.
    Raises Unreadable, on entering and on reading; after that there is nothing more to read.
    """

    major: int

    def __enter__(self) -> Self:
        program = shutil.which(PROGRAM)
        if program is None:
            raise Unreadable("missing")
        if os.geteuid() == 0:
            raise Unreadable("root")
        self._numbers = count(1)
        self._session = ""
        self._buffer = b""
        self._answers = False
        with contextlib.ExitStack() as stack:
            self._home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labctl-chromium-")))
            self._managed = self._home / "etc/policies/managed"
            self._managed.mkdir(parents=True)
            self._errors = stack.enter_context((self._home / "errors").open("w+"))
            self._process = stack.enter_context(self._started(program))
            self._deadline = time.monotonic() + START_S
            version = str(self._call("Browser.getVersion")["product"])  # as in Chrome/156.0.8078.79
            self.major = int(version.partition("/")[2].partition(".")[0])
            self._answers = True
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, policies: Mapping[str, Any]) -> dict[str, PolicyState]:
        """The table that Chromium shows of `policies`, read from two files as on a PC."""
        number = next(self._numbers)
        allow = {key: value for key, value in policies.items() if key == ALLOW_KEY}
        rest = {key: value for key, value in policies.items() if key != ALLOW_KEY}
        self._write("50-lab-policy.json", {**rest, MARK: number})
        self._write("60-lab-allow.json", allow)
        self._deadline = time.monotonic() + READ_S
        try:
            told = self._evaluate(_TABLE.replace("MARK", MARK).replace("NUMBER", str(number)))
            return _table(told)
        except (KeyError, TypeError, AttributeError) as error:
            raise Unreadable("strange", f"{type(error).__name__}: {error}") from None
        except Unreadable:
            self._answers = False
            raise

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        fresh = self._home / name
        fresh.write_text(json.dumps(document))
        fresh.rename(self._managed / name)

    @contextlib.contextmanager
    def _started(self, program: str) -> Iterator["subprocess.Popen[bytes]"]:
        profile = f"--user-data-dir={self._home / 'profile'}"
        with subprocess.Popen(
            [*_ENTER, str(self._home / "etc"), program, profile, *_FLAGS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "HOME": str(self._home)},
            bufsize=0,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(CLOSE_S if self._answers else 0)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _close(self) -> None:
        self._deadline = time.monotonic() + CLOSE_S
        if self._answers:
            with contextlib.suppress(Unreadable):
                self._call("Browser.close")

    def _evaluate(self, expression: str) -> Any:
        """What an expression comes to on chrome://policy, promises kept."""
        if not self._session:
            target = self._call("Target.createTarget", url=_POLICY_PAGE)["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self._arrive()
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Unreadable("strange", str(answer["exceptionDetails"].get("text", "")))
        return answer["result"].get("value")

    def _arrive(self) -> None:
        """Wait for the page: its target is there before it, and what is asked in the blank one is lost."""
        while True:
            try:
                answer = self._call("Runtime.evaluate", expression=_WHERE, returnByValue=True)
            except Unreadable as error:
                if error.trouble != "strange" or time.monotonic() > self._deadline:
                    raise
            else:
                if answer["result"].get("value") == _POLICY_PAGE:
                    return
                if time.monotonic() > self._deadline:
                    raise Unreadable("lost")
            time.sleep(0.02)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if method.startswith("Runtime."):
            message["sessionId"] = self._session
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise self._ended() from None
        while True:
            answer = self._next()
            if answer.get("method") in ("Target.detachedFromTarget", "Inspector.detached"):
                raise Unreadable("lost")
            if answer.get("id") == number:
                if "error" in answer:
                    raise Unreadable("strange", str(answer["error"].get("message", "")))
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        """The next message of Chromium's."""
        assert self._process.stdout is not None  # noqa: S101 - both are pipes
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], self._deadline - time.monotonic())
            piece = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                raise self._ended()
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _ended(self) -> Unreadable:
        """Why there is no answer, as far as the last line on standard error knows."""
        lines = (self._home / "errors").read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else ""
        if self._answers:
            return Unreadable("lost", said)
        outside = said.startswith(("unshare:", "mount:", "setpriv:"))
        return Unreadable("namespace" if outside else "start", said)


def _table(told: Any) -> dict[str, PolicyState]:
    known = set(told["known"])
    table = {
        name: PolicyState(
            value=line["value"],
            known=name in known,
            error=line.get("error", ""),
            warning=line.get("warning", ""),
            ignored=bool(line.get("ignored")) or bool(line.get("future")),
            deprecated=bool(line.get("deprecated")),
        )
        for name, line in told["table"].items()
    }
    mark = table.pop(MARK)
    if mark.known or not mark.error:
        raise Unreadable("strange", f"{MARK} is not called unknown")
    return table
