"""labctl's door: HTTP over a Unix socket. Who may do what follows from the caller's groups (door_callers).

Every answer that is not 2xx is `{"error": sentence, "hint": what to do}`.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi import Path as UrlPath
from fastapi.responses import StreamingResponse

from contract.version import VERSION
from controller import door_models as m
from controller import payment_models as pm
from controller import profile_models as prof
from controller.door_callers import Bounded, Door, caller_of, peer_protocol, user_of
from controller.door_errors import add_error_answers
from controller.door_language import InTheirLanguage
from controller.problems import Problem
from controller.services import Caller, Services
from controller.words import _

log = logging.getLogger(__name__)

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
    app.add_middleware(Bounded, door=door)
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


def make_server(app: FastAPI, door: Door, opened: Callable[[], object]) -> uvicorn.Server:
    """The server of the door; calls `opened` once it answers there.

    The socket is open to all users of the machine: who may do what is decided
    by uid above, with a sentence, where the file's mode would only say no.
    """
    return _Server(
        uvicorn.Config(
            InTheirLanguage(app),
            uds=str(door.socket),
            http=peer_protocol(door),
            ws="none",
            lifespan="off",
            proxy_headers=False,  # or a header could say who is calling
            server_header=False,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=3,
        ),
        opened,
    )


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
                _(
                    "Ask the server's administrator: sudo usermod -aG {technicians} {user} "
                    "(or {operators}, for the day's work only)."
                ).format(technicians=door.technicians, operators=door.operators, user=user_of(uid)),
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

    @app.post("/v1/stations/{station}/call/answer")
    def call_answer(station: Id, caller: Annotated[Caller, Depends(operator)]) -> m.CallAnswered:
        """Tell the citizen who calls there that the operator comes."""
        return services.answer_call(station, caller.user)

    @app.get("/v1/payments")
    def payments(_: Annotated[Caller, Depends(operator)]) -> pm.Payments:
        """Where the payment mode is open, and who opened it when, why and for how long."""
        return services.payments(None)

    @app.get("/v1/stations/{station}/payment")
    def payment(station: Id, _: Annotated[Caller, Depends(operator)]) -> pm.Payments:
        """The same of one PC."""
        return services.payments(station)

    @app.post("/v1/stations/{station}/payment/open")
    def payment_open(
        station: Id, body: pm.PaymentIn, caller: Annotated[Caller, Depends(operator)]
    ) -> pm.PaymentOut:
        """Open the payment mode for who sits there now; the PC closes it by itself."""
        return services.open_payment(station, body.minutes, body.why, caller.user, body.wait_s)

    @app.post("/v1/stations/{station}/payment/close")
    def payment_close(
        station: Id, body: m.SessionIn, caller: Annotated[Caller, Depends(operator)]
    ) -> pm.PaymentOut:
        """Close it before its time."""
        return services.close_payment(station, caller.user, body.wait_s)

    @app.get("/v1/stations/{station}/explain")
    def explain(station: Id, _: Annotated[Caller, Depends(operator)]) -> prof.Explained:
        """Where each setting of a station came from."""
        return services.explain(station)


def _add_profiles(app: FastAPI, services: Services, operator: Guard, technician: Guard) -> None:
    @app.get("/v1/profiles")
    def profiles(_: Annotated[Caller, Depends(operator)]) -> prof.Profiles:
        """Every profile, shipped or the lab's own."""
        return services.profiles()

    @app.post("/v1/profiles/check")
    def check(_: Annotated[Caller, Depends(operator)]) -> prof.Check:
        """Everything that is wrong or doubtful in the lab's files."""
        return services.check()

    @app.get("/v1/profiles/{name}")
    def profile(name: Name, _: Annotated[Caller, Depends(operator)]) -> prof.ProfileText:
        """One profile as written and as it works out."""
        return services.profile(name)

    @app.get("/v1/profiles/{name}/publications")
    def publications(name: Name, _: Annotated[Caller, Depends(operator)]) -> prof.Publications:
        """The history of a profile."""
        return services.publications(name)

    @app.post("/v1/profiles/{name}/diff")
    def diff(name: Name, _: Annotated[Caller, Depends(operator)]) -> prof.Diff:
        """What a publication would change, PC by PC."""
        return services.diff(name)

    @app.post("/v1/profiles/{name}/publish")
    def publish(
        name: Name, body: prof.PublishIn, caller: Annotated[Caller, Depends(technician)]
    ) -> prof.Rolled:
        """Make the files as they are what the PCs with this profile shall be."""
        return services.publish(name, caller.user, body.why, body.wait_s)

    @app.post("/v1/profiles/{name}/rollback")
    def rollback(
        name: Name, body: prof.RollbackIn, caller: Annotated[Caller, Depends(technician)]
    ) -> prof.Rolled:
        """Publish an earlier publication again, as a new one."""
        return services.rollback(name, body.to, caller.user, body.why, body.wait_s)

    @app.post("/v1/assignments")
    def assign(body: prof.AssignIn, caller: Annotated[Caller, Depends(technician)]) -> prof.Rolled:
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
    def groups(_: Annotated[Caller, Depends(operator)]) -> prof.Groups:
        """Every group."""
        return services.groups()

    @app.put("/v1/groups/{name}")
    def set_group(name: Id, body: prof.GroupIn, _: Annotated[Caller, Depends(technician)]) -> prof.GroupSet:
        """Say who is in a group."""
        return services.set_group(name, body.stations)

    @app.get("/v1/doctor")
    def doctor(_: Annotated[Caller, Depends(operator)]) -> m.Doctor:
        """The server's own health."""
        return services.doctor()

    @app.post("/v1/rekey")
    def rekey(caller: Annotated[Caller, Depends(technician)]) -> m.Doctor:
        """Give the server a new key and revoke the old one's certificate; the server's health after it."""
        return services.rekey(caller.user)

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
