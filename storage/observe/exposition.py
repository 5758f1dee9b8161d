"""Answers /metrics, /healthz and /readyz, from a thread of its own."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from schemas.errors import InvalidValue
from storage.settings import ObserveSettings


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A scrape every few seconds is no news."""


class Exposition:
    """Readiness is what `ready` says when asked; alive is whoever answers."""

    def __init__(self, host: str, port: int, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._metrics = make_wsgi_app()
        self._server = make_server(host, port, self._answer, ThreadingWSGIServer, handler_class=_Silent)
        Thread(target=self._server.serve_forever, name="exposition", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = self._metrics(environ, start_response)
                return body
            case "/healthz":
                return _say(start_response, "200 OK")
            case "/readyz":
                return _say(start_response, "200 OK" if self._ready() else "503 Service Unavailable")
        return _say(start_response, "404 Not Found")


@contextmanager
def exposed(observe: ObserveSettings, ready: Callable[[], bool]) -> Iterator[None]:
    """Answers inside the block, if the settings name a port. Raises InvalidValue for one that cannot be had."""
    if not observe.metrics_port:
        yield
        return
    try:
        exposition = Exposition(observe.metrics_host, observe.metrics_port, ready)
    except OSError as failure:
        where = f"{observe.metrics_host}:{observe.metrics_port}"
        raise InvalidValue(f"PENSTOCK_METRICS_PORT: {where} cannot be listened on: {failure.strerror}.") from failure
    try:
        yield
    finally:
        exposition.close()


def _say(start_response: StartResponse, status: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain")])
    return [f"{status}\n".encode()]
