"""Whoever asks at the door is answered in the language the request asks for."""

from starlette.types import ASGIApp, Receive, Scope, Send

from controller.words import speaking


class InTheirLanguage:
    """Speaks the language of each request's Accept-Language while it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A thread that answers gets the context with the language, as all of it."""
        headers: list[tuple[bytes, bytes]] = scope.get("headers", [])
        asked = b",".join(value for name, value in headers if name == b"accept-language")
        with speaking(asked.decode("latin-1")):
            await self._app(scope, receive, send)
