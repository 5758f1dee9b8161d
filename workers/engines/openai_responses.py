"""Any upstream that speaks OpenAI's Responses: OpenAI, for models that want it, vLLM, another Penstock."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.errors import EngineFailed, PenstockError
from workers.engines import openai_errors, openai_responses_request, setup
from workers.engines.openai_responses_stream import ResponsesStream
from workers.engines.upstream import Upstream, checked_headers

ENCODE: Final = msgspec.json.Encoder().encode

COUNTED: Final = ("model", "input", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning")
"""What of a request makes up its prompt."""


class _Count(msgspec.Struct):
    input_tokens: int


COUNT: Final = msgspec.json.Decoder(_Count)


class Options(openai_responses_request.Asking, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_responses row."""

    headers: dict[str, str] = msgspec.field(default_factory=dict)


class OpenAIResponses:
    """One row's upstream. Nothing is stored there: the conversation travels whole, as it does everywhere else."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._shape = openai_responses_request.Shape(
            model.upstream_name,
            options,
            model.max_output_tokens,
            reasons="reasoning" in model.abilities,
            caches="prompt_cache" in model.abilities,
        )
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/responses", headers, self._refused)
        self._counter = Upstream(model, "/responses/input_tokens", headers, self._refused)

    def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        data = ENCODE(openai_responses_request.body(self._shape, chat))
        return self._upstream.stream(job_id, data, ResponsesStream(self._model, self._secret))

    async def count_tokens(self, chat: Chat) -> int:
        """By OpenAI's own counter."""
        asked = openai_responses_request.body(self._shape, chat)
        body = await self._counter.answer(ENCODE({name: asked[name] for name in COUNTED if name in asked}))
        try:
            return COUNT.decode(body).input_tokens
        except msgspec.DecodeError as exc:
            raise EngineFailed(f"The engine of model '{self._model}' answered with what is no count.") from exc

    async def close(self) -> None:
        await self._upstream.close()
        await self._counter.close()

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )
