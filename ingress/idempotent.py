"""`Idempotency-Key`: a request that is sent again is not done again, but answered as it was.

Plain ASGI in front of every route that a POST may reach; a request without the header passes straight through.
"""

import asyncio
import logging
import secrets
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ingress.dialect import dialect_of
from ingress.door import Door
from ingress.metrics import ERRORS, REPLAYED
from ingress.resent import Recorded, Replayed, fingerprint, read_ahead
from schemas.access import AccessKey
from schemas.errors import AnswerNotKept, InvalidValue, KeyInUse, KeyReused, PenstockError, Undecidable
from storage.idempotency import KEEP_MS, LEASE_MS, Answer, Other, Running, Yours, request_name

HEADER: Final = "idempotency-key"
REPLAYED_HEADER: Final = "idempotent-replayed"
LONGEST_KEY: Final = 255
MOST_IN_REDIS_BYTES: Final = 64 * 1024

LOOK_FIRST_S: Final = 0.05
LOOK_LAST_S: Final = 0.5
RENEW_S: Final = LEASE_MS / 1000 / 3
"""Two renewals may be lost before the lease is."""

log = logging.getLogger(__name__)


class Idempotent:
    """The first of a key's requests runs; its twins wait for its answer, and later ones are given it for a day.

    What was refused or failed is not kept: nothing stands, and sent again it is tried again. Neither is a stream, nor
    what is too large: a request that got it is not done again either, and told so.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = None
        if scope["type"] == "http" and scope["method"] == "POST":
            key = next((value for name, value in scope["headers"] if name == b"idempotency-key"), None)
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            access = await self._door.authenticate(Request(scope))
        except PenstockError:
            # Whatever the route answers without a good key: it does nothing that could be done twice.
            await self._app(scope, receive, send)
            return
        try:
            await self._once(access, _checked(key), scope, receive, send)
        except PenstockError as error:
            await _refuse(error, scope, receive, send)

    async def _once(self, access: AccessKey, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._door.settings
        body = await read_ahead(receive, settings.max_body_bytes, settings.body_s)
        if body[-1]["type"] != "http.request":
            return  # whoever sent it is gone, and nothing was begun
        requests, name = self._door.idempotent, request_name(access.account, key)
        request, owner = fingerprint(scope, Headers(scope=scope), body, access.models), secrets.token_hex(8)
        give_up_at, pause_s = time.monotonic() + settings.idempotency_wait_s, LOOK_FIRST_S
        while True:
            turn = await requests.claim(name, request, owner)
            match turn:
                case Yours(number):
                    scope.setdefault("state", {})["job_number"] = number
                    run = _Run(self._door, name, owner, access.account)
                    await run.run(self._app, scope, Replayed(body, receive), send)
                    return
                case Answer():
                    await self._repeat(turn, scope, receive, send)
                    return
                case Other():
                    raise KeyReused("This Idempotency-Key came with another request before. Take a new one.")
                case Running():
                    if time.monotonic() > give_up_at:
                        raise KeyInUse("The request with this Idempotency-Key is not answered yet.", retry_after_s=5)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_LAST_S)

    async def _repeat(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        body = answer.body
        if body is None and answer.key is not None:
            try:
                body = await self._door.objects.get(answer.key)
            except FileNotFoundError:
                body = None
            except OSError as failure:
                raise Undecidable("The answer's body cannot be read at the moment.", retry_after_s=5) from failure
        if body is None:
            raise AnswerNotKept(
                "The request with this Idempotency-Key was answered, with a stream or with more than is kept. It is "
                "not done twice: take a new key to have it done again."
            )
        REPLAYED.inc()
        await Response(body, answer.status, {**dict(answer.headers), REPLAYED_HEADER: "true"})(scope, receive, send)


class _Run:
    """One request while its route answers it."""

    def __init__(self, door: Door, name: str, owner: str, account: str) -> None:
        self._requests = door.idempotent
        self._expiring = door.expiring
        self._name = name
        self._owner = owner
        self._account = account

    async def run(self, app: ASGIApp, scope: Scope, replayed: Replayed, send: Send) -> None:
        recorded = Recorded(send, on_stream=replayed.let_leave)
        renewing = asyncio.create_task(self._renew(), name="idempotent-renew")
        try:
            await app(scope, replayed.receive, recorded.send)
        finally:
            renewing.cancel()
            # To its end also where the server cancels this request, as it stops.
            await asyncio.shield(self._settle(recorded))

    async def _settle(self, recorded: Recorded) -> None:
        try:
            if not recorded.good:
                await self._requests.let_go(self._name, self._owner)
            else:
                await self._requests.answer(self._name, self._owner, await self._answer(recorded))
        except (Undecidable, OSError) as failure:
            # The lease ends by itself, and whoever comes then does the request again under the same job's number.
            log.warning("idempotent_answer_not_kept", extra={"reason": str(failure)})

    async def _answer(self, recorded: Recorded) -> Answer:
        body = recorded.body
        if body is None:
            return Answer(recorded.status)
        if len(body) <= MOST_IN_REDIS_BYTES:
            return Answer(recorded.status, recorded.headers, body)
        key = f"idempotent/{self._account}/{self._owner}"
        await self._expiring.put(key, body, time.time_ns() // 1_000_000 + KEEP_MS)
        return Answer(recorded.status, recorded.headers, None, key)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await self._requests.renew(self._name, self._owner):
                    return
            except Undecidable as failure:
                log.debug("idempotent_not_renewed", extra={"reason": failure.message})


def _checked(key: bytes) -> str:
    text = key.decode("latin-1").strip()
    if not 0 < len(text) <= LONGEST_KEY:
        raise InvalidValue(f"'Idempotency-Key' should have 1 to {LONGEST_KEY} characters.", param="Idempotency-Key")
    return text


async def _refuse(error: PenstockError, scope: Scope, receive: Receive, send: Send) -> None:
    ERRORS.labels(error.code).inc()
    dialect, request_id = dialect_of(scope["path"]), scope["state"]["request_id"]
    status, headers, body = dialect.error(error, request_id)
    await Response(body, status, dialect.headers(headers, request_id))(scope, receive, send)
