"""What labctl's door answers when it does not do what was asked: one sentence, and what to do next."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from controller.problems import HTTP_STATUS, Problem
from controller.store.database import StoreError
from controller.words import _

log = logging.getLogger(__name__)


def add_error_answers(app: FastAPI) -> None:
    """Have `app` answer what goes wrong, expected or not, as one sentence and what to do."""

    @app.exception_handler(Problem)
    def refused(_request: Request, problem: Problem) -> JSONResponse:
        return refusal(HTTP_STATUS[problem.kind], problem.error, problem.hint)

    @app.exception_handler(StoreError)
    def storeless(_request: Request, error: StoreError) -> JSONResponse:
        return refusal(500, f"{error}.", _("Is the server's disk full? See: labctl doctor"))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        more = len(error.errors()) - 1
        sentence = f"{where or 'The request'}: {first['msg']}" + (f" (and {more} more)" if more else "")
        return refusal(400, sentence, "GET /openapi.json says what is expected.")

    @app.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> JSONResponse:
        answer = refusal(error.status_code, str(error.detail), "GET /openapi.json lists what there is.")
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(
            500,
            _("The controller failed to do this; its log has the details."),
            "journalctl -u lab-controller",
        )


def refusal(status: int, error: str, hint: str) -> JSONResponse:
    """The body of every answer that is not 2xx (door_models.Problem)."""
    return JSONResponse({"error": error, "hint": hint}, status_code=status)
