"""Any upstream that speaks OpenAI's chat completions: vLLM, Ray Serve, OpenAI, another Penstock."""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.errors import PenstockError
from workers.engines import openai_errors, openai_request, setup
from workers.engines.openai_stream import ChatStream
from workers.engines.upstream import Upstream, checked_headers


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    developer_role: Literal["system", "developer"] = "system"
    continuous_usage: bool = False
    headers: dict[str, str] = {}


class OpenAICompatible:
    """One row's upstream."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._shape = openai_request.Shape(
            model.upstream_name, options.max_tokens_field, options.developer_role, options.continuous_usage
        )
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/chat/completions", headers, self._refused)

    def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        data = openai_request.encode(openai_request.body(self._shape, chat))
        return self._upstream.stream(job_id, data, ChatStream(self._model, chat.sampling.choices, self._secret))

    async def close(self) -> None:
        await self._upstream.close()

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )
