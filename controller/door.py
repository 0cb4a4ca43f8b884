"""labctl's door: HTTP over a Unix socket. Who may do what follows from the caller's groups.

The kernel says who is calling (SO_PEERCRED); nothing in the request can. Every
answer that is not 2xx is `{"error": sentence, "hint": what to do}`.
"""

import asyncio
import contextlib
import grp
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi import Path as UrlPath
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from contract.version import VERSION
from controller import door_models as m
from controller.door_errors import add_error_answers, refusal
from controller.door_language import InTheirLanguage
from controller.problems import Problem
from controller.services import Caller, Services
from controller.words import _

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
MAX_CALLS = 48
"""Callers that are answered at the same time; a publication waits in one of 40 threads."""
MAX_CONNECTIONS = 256
WATCH_EVERY_S = 5.0
"""A watcher gets a line at least so often, so that it can tell a quiet lab from a dead door."""

Id = Annotated[str, UrlPath(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
Name = Annotated[str, UrlPath(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": m.Problem, "description": text}
    for code, text in {
        400: "Wrong input",
        403: "Not your group",
        404: "No such thing",
        405: "No such method here",
        409: "Not in this state",
        413: "Too much",
        500: "The server failed",
        502: "The PC said no",
        503: "Too many at once",
        504: "The PC is not there",
    }.items()
}


@dataclass(frozen=True)
class Door:
    """Where the door is and which groups may use it."""

    socket: Path
    technicians: str
    operators: str


class _PeerProtocol(H11Protocol):
    """Puts the peer's uid, as the kernel knows it, where ASGI has the client's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
        super().connection_made(transport)
        peer: socket.socket = transport.get_extra_info("socket")
        packed = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", packed)
        self.client = (str(uid), pid)


def caller_of(uid: int, door: Door) -> Caller | None:
    """Who `uid` is at the door; None where neither group has it.

    Root and the user the controller runs as are technicians: both can read its keys anyway.
    """
    try:
        entry = pwd.getpwuid(uid)
        user, groups = entry.pw_name, _group_names(entry.pw_name, entry.pw_gid)
    except KeyError:
        user, groups = str(uid), set()
    if uid in (0, os.geteuid()) or door.technicians in groups:
        return Caller(uid=uid, user=user, technician=True)
    if door.operators in groups:
        return Caller(uid=uid, user=user, technician=False)
    return None


def _group_names(user: str, gid: int) -> set[str]:
    names = set()
    for group in os.getgrouplist(user, gid):
        with contextlib.suppress(KeyError):  # a gid without a name has no rights here
            names.add(grp.getgrgid(group).gr_name)
    return names


def make_app(services: Services, door: Door) -> FastAPI:
    """The ASGI application of the door."""
    app = FastAPI(
        title="lab-controller",
        version=VERSION,
        description="What labctl uses. Over the Unix socket only; the caller's groups are its rights.",
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )
    add_error_answers(app)
    operator, technician = _roles(door)
    _add_stations(app, services, operator, technician)
    _add_profiles(app, services, operator, technician)
    _add_lab(app, services, operator, technician)
    app.add_middleware(Bounded)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """FastAPI describes a 422 that this door never gives: what is wrong in a request is a 400 here."""
    for path in app.openapi()["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    schemas = app.openapi()["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, opened: Callable[[], object]) -> None:
        super().__init__(config)
        self._opened = opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._opened()


def make_server(app: FastAPI, path: Path, opened: Callable[[], object]) -> uvicorn.Server:
    """The server of the door at `path`; calls `opened` once it answers there.

    The socket is open to all users of the machine: who may do what is decided
    by uid above, with a sentence, where the file's mode would only say no.
    """
    return _Server(
        uvicorn.Config(
            InTheirLanguage(app),
            uds=str(path),
            http=_PeerProtocol,
            ws="none",
            lifespan="off",
            proxy_headers=False,  # or a header could say who is calling
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=3,
        ),
        opened,
    )


class Bounded:
    """Refuses what would be too much: a body, before it is all here, and callers at the same time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._calls >= MAX_CALLS:
            busy = refusal(
                503, _("The controller is answering too many at once."), _("Try again in a moment.")
            )
            await busy(scope, receive, send)
            return
        self._calls += 1
        try:
            await self._app(scope, _bounded(receive), send)
        finally:
            self._calls -= 1


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request is longer than {MAX_BODY_BYTES} bytes.")
        return message

    return bounded


Guard = Callable[[Request], Caller]


def _roles(door: Door) -> tuple[Guard, Guard]:
    def operator(request: Request) -> Caller:
        uid = int(request.client.host) if request.client else -1
        caller = caller_of(uid, door)
        if caller is None:
            raise Problem(
                "forbidden",
                _("You are in neither of the groups {operators} and {technicians}.").format(
                    operators=door.operators, technicians=door.technicians
                ),
                _("Ask the server's administrator: sudo usermod -aG {operators} YOUR-USER").format(
                    operators=door.operators
                ),
            )
        return caller

    def technician(request: Request) -> Caller:
        caller = operator(request)
        if not caller.technician:
            raise Problem(
                "forbidden",
                _("{user} is an operator; this needs a technician.").format(user=caller.user),
                _("Ask a technician, or the administrator: sudo usermod -aG {technicians} {user}").format(
                    technicians=door.technicians, user=caller.user
                ),
            )
        return caller

    return operator, technician


def _add_stations(app: FastAPI, services: Services, operator: Guard, technician: Guard) -> None:
    @app.get("/v1/status")
    def status(_: Annotated[Caller, Depends(operator)]) -> m.Status:
        """Every station now."""
        return services.status()

    @app.get(
        "/v1/status/watch",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    )
    async def watch(_: Annotated[Caller, Depends(operator)]) -> StreamingResponse:
        """A Status a line, at every change and at least each 5 s, until the caller goes."""
        return StreamingResponse(_watch(services), media_type="application/x-ndjson")

    @app.get("/v1/inventory")
    def inventory(_: Annotated[Caller, Depends(operator)]) -> m.Inventory:
        """The stations as things one owns."""
        return services.inventory()

    @app.post("/v1/discover")
    def discover(body: m.DiscoverIn, _: Annotated[Caller, Depends(technician)]) -> m.Discovered:
        """Where agents are, by mDNS and among the hosts named."""
        return services.discover(body.hosts, body.timeout_s)

    @app.post("/v1/stations/{station}/pair")
    def pair(station: Id, body: m.PairIn, _: Annotated[Caller, Depends(technician)]) -> m.Paired:
        """Make a PC a station of this lab, by the code on its screen."""
        return services.pair(station, body.code, body.address)

    @app.post("/v1/stations/{station}/unpair")
    def unpair(station: Id, body: m.UnpairIn, _: Annotated[Caller, Depends(technician)]) -> m.Unpaired:
        """Let a PC go: it forgets the lab, and its certificate is revoked."""
        return services.unpair(station, force=body.force)

    @app.get("/v1/stations/{station}/session")
    def session(station: Id, _: Annotated[Caller, Depends(operator)]) -> m.SessionOut:
        """A PC's state, and the proof of its last wipe."""
        return services.session(station)

    @app.post("/v1/stations/{station}/session/start")
    def session_start(
        station: Id, body: m.SessionIn, caller: Annotated[Caller, Depends(operator)]
    ) -> m.SessionOut:
        """Begin a citizen's session."""
        return services.start_session(station, caller.user, body.wait_s)

    @app.post("/v1/stations/{station}/session/end")
    def session_end(
        station: Id, body: m.SessionIn, caller: Annotated[Caller, Depends(operator)]
    ) -> m.SessionOut:
        """End it: the PC is wiped, and proves it."""
        return services.end_session(station, caller.user, body.wait_s)

    @app.get("/v1/stations/{station}/explain")
    def explain(station: Id, _: Annotated[Caller, Depends(operator)]) -> m.Explained:
        """Where each setting of a station came from."""
        return services.explain(station)


def _add_profiles(app: FastAPI, services: Services, operator: Guard, technician: Guard) -> None:
    @app.get("/v1/profiles")
    def profiles(_: Annotated[Caller, Depends(operator)]) -> m.Profiles:
        """Every profile, shipped or the lab's own."""
        return services.profiles()

    @app.post("/v1/profiles/check")
    def check(_: Annotated[Caller, Depends(operator)]) -> m.Check:
        """Everything that is wrong or doubtful in the lab's files."""
        return services.check()

    @app.get("/v1/profiles/{name}")
    def profile(name: Name, _: Annotated[Caller, Depends(operator)]) -> m.ProfileText:
        """One profile as written and as it works out."""
        return services.profile(name)

    @app.get("/v1/profiles/{name}/publications")
    def publications(name: Name, _: Annotated[Caller, Depends(operator)]) -> m.Publications:
        """The history of a profile."""
        return services.publications(name)

    @app.post("/v1/profiles/{name}/diff")
    def diff(name: Name, _: Annotated[Caller, Depends(operator)]) -> m.Diff:
        """What a publication would change, PC by PC."""
        return services.diff(name)

    @app.post("/v1/profiles/{name}/publish")
    def publish(name: Name, body: m.PublishIn, caller: Annotated[Caller, Depends(technician)]) -> m.Rolled:
        """Make the files as they are what the PCs with this profile shall be."""
        return services.publish(name, caller.user, body.why, body.wait_s)

    @app.post("/v1/profiles/{name}/rollback")
    def rollback(name: Name, body: m.RollbackIn, caller: Annotated[Caller, Depends(technician)]) -> m.Rolled:
        """Publish an earlier publication again, as a new one."""
        return services.rollback(name, body.to, caller.user, body.why, body.wait_s)

    @app.post("/v1/assignments")
    def assign(body: m.AssignIn, caller: Annotated[Caller, Depends(technician)]) -> m.Rolled:
        """Say which profile the lab, a group or a PC has."""
        return services.assign(body.target, body.profile, caller.user, body.wait_s)


def _add_lab(app: FastAPI, services: Services, operator: Guard, technician: Guard) -> None:
    @app.get("/v1/whoami")
    def whoami(caller: Annotated[Caller, Depends(operator)]) -> m.Whoami:
        """Who the door takes the caller for."""
        return m.Whoami(
            uid=caller.uid, user=caller.user, role="technician" if caller.technician else "operator"
        )

    @app.get("/v1/groups")
    def groups(_: Annotated[Caller, Depends(operator)]) -> m.Groups:
        """Every group."""
        return services.groups()

    @app.put("/v1/groups/{name}")
    def set_group(name: Id, body: m.GroupIn, _: Annotated[Caller, Depends(technician)]) -> m.GroupSet:
        """Say who is in a group."""
        return services.set_group(name, body.stations)

    @app.get("/v1/doctor")
    def doctor(_: Annotated[Caller, Depends(operator)]) -> m.Doctor:
        """The server's own health."""
        return services.doctor()

    @app.post("/v1/services/spid")
    def spid(body: m.SpidIn, _: Annotated[Caller, Depends(technician)]) -> m.SpidOut:
        """Write the lab's SPID bundle from the federation's providers."""
        return services.update_spid(body.providers, body.published, force=body.force)


async def _watch(services: Services) -> AsyncIterator[bytes]:
    """Lines for one watcher: woken by a change, and at least each WATCH_EVERY_S."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    with services.watching(lambda: loop.call_soon_threadsafe(changed.set)):
        while True:
            changed.clear()
            status = await asyncio.to_thread(services.status)
            yield status.model_dump_json().encode() + b"\n"
            try:
                await asyncio.wait_for(changed.wait(), WATCH_EVERY_S)
            except TimeoutError:
                continue
