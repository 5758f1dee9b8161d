"""Any upstream that speaks OpenAI's chat completions: vLLM, Ray Serve, OpenAI, another Penstock."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar, Final

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.errors import EngineFailed, PenstockError
from workers.engines import openai_errors, openai_request, setup
from workers.engines.openai_stream import ChatStream
from workers.engines.upstream import Upstream, checked_headers


class Options(openai_request.Asking, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row.

    `input_excludes_cache`: the upstream leaves what it read from and wrote to a cache out of `prompt_tokens`.
    """

    input_excludes_cache: bool = False
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class _Count(msgspec.Struct):
    count: int


COUNT: Final = msgspec.json.Decoder(_Count)


class OpenAICompatible:
    """One row's upstream; `options` are what its rows may say."""

    options: ClassVar[type[Options]] = Options

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, self.options)
        self._model = model.id
        self._secret = secret
        self._input_excludes_cache = options.input_excludes_cache
        self._shape = openai_request.Shape(
            model.upstream_name,
            options,
            model.max_output_tokens,
            reasons="reasoning" in model.abilities,
            caches="prompt_cache" in model.abilities,
        )
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/chat/completions", headers, self._refused)
        self._tokenizer = Upstream(model, "/tokenize", headers, self._refused, above_v1=True)

    def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        data = openai_request.encode(openai_request.body(self._shape, chat))
        fold = ChatStream(
            self._model, chat.sampling.choices, self._secret, input_excludes_cache=self._input_excludes_cache
        )
        return self._upstream.stream(job_id, data, fold)

    async def count_tokens(self, chat: Chat) -> int:
        """By vLLM's tokenizer, which stands beside `/v1` and knows the model's chat template."""
        asked = openai_request.body(self._shape, chat)
        prompt: dict[str, Any] = {name: asked[name] for name in ("model", "messages", "tools") if name in asked}
        body = await self._tokenizer.answer(openai_request.encode(prompt))
        try:
            return COUNT.decode(body).count
        except msgspec.DecodeError as exc:
            raise EngineFailed(f"The engine of model '{self._model}' answered with what is no count.") from exc

    async def close(self) -> None:
        await self._upstream.close()
        await self._tokenizer.close()

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )
