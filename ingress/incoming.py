"""A request with its transport left behind: what is asked, by whom, and from where."""

import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request

from ingress.auth import authorize
from ingress.body import read_body
from ingress.door import Door
from ingress.networks import Address
from schemas.access import AccessKey
from schemas.catalog import Model


@dataclass(frozen=True, slots=True)
class Incoming:
    """`address` is None where whoever asks has none that could be told.

    `number` is that of the long job or batch which the request makes, where the request is known by an idempotency
    key: done again after a crash, it makes the same one. `ticket` is what a request that came through the log leaves
    with its job.
    """

    key: AccessKey
    address: Address | None
    headers: Headers
    body: bytes
    number: str | None = None
    ticket: bytes = b""

    def authorize(self, model: Model) -> None:
        """Raises Forbidden where the key may not ask this model."""
        authorize(self.key, model.id, self.address, time.time_ns() // 1_000_000)


async def incoming(door: Door, request: Request) -> Incoming:
    """An HTTP request once its key is known and its body read. Raises what is wrong with either."""
    key = await door.authenticate(request)
    body = await read_body(request, door.settings.max_body_bytes, door.settings.body_s)
    return Incoming(key, door.address(request), request.headers, body, getattr(request.state, "job_number", None))
