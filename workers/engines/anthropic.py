"""Any upstream that speaks Anthropic's Messages: Anthropic itself, vLLM, another Penstock."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.dialects import ANTHROPIC_HEADERS
from schemas.errors import EngineFailed, PenstockError
from workers.engines import anthropic_request, openai_errors, setup
from workers.engines.anthropic_stream import MessagesStream
from workers.engines.upstream import Upstream, checked_headers

BETA: Final = "anthropic-beta"
ENCODE: Final = msgspec.json.Encoder().encode


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an anthropic row.

    `thinking`: how an effort is told to the model, as a budget of tokens or as `output_config.effort` beside adaptive
    thinking. `key_header`: where the secret goes.
    """

    thinking: Literal["budget", "adaptive"] = "budget"
    key_header: Literal["x-api-key", "authorization"] = "x-api-key"
    version: str = "2023-06-01"
    betas: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class _Count(msgspec.Struct):
    input_tokens: int


COUNT: Final = msgspec.json.Decoder(_Count)


class Anthropic:
    """One row's upstream."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._betas = options.betas
        self._most_tokens = model.max_output_tokens
        self._shape = anthropic_request.Shape(
            model.upstream_name, model.max_output_tokens, options.thinking, "prompt_cache" in model.abilities
        )
        key = {} if secret is None else _key(options, secret)
        own = {"anthropic-version": options.version, **key, **options.headers}
        headers = checked_headers(model, own)
        self._upstream = Upstream(model, "/messages", headers, self._refused)
        self._counter = Upstream(model, "/messages/count_tokens", headers, self._refused)

    def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        data = ENCODE(anthropic_request.body(self._shape, chat))
        return self._upstream.stream(job_id, data, MessagesStream(self._model, self._secret), self._headers(chat))

    async def count_tokens(self, chat: Chat) -> int:
        prompt = anthropic_request.prompt(self._shape, chat, chat.sampling.max_output_tokens or self._most_tokens)
        body = await self._counter.answer(ENCODE(prompt), self._headers(chat))
        try:
            return COUNT.decode(body).input_tokens
        except msgspec.DecodeError as exc:
            raise EngineFailed(f"The engine of model '{self._model}' answered with what is no count.") from exc

    async def close(self) -> None:
        await self._upstream.close()
        await self._counter.close()

    def _headers(self, chat: Chat) -> Mapping[str, str]:
        """The betas of the row and of the caller, as far as they can stand in a header."""
        asked = (chat.extras or {}).get(ANTHROPIC_HEADERS, {}).get(BETA, "")
        names = [*self._betas, *(name.strip() for name in str(asked).split(","))]
        sent = dict.fromkeys(name for name in names if name and name.isascii() and name.isprintable())
        return {BETA: ",".join(sent)} if sent else {}

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )


def _key(options: Options, secret: str) -> dict[str, str]:
    return {"x-api-key": secret} if options.key_header == "x-api-key" else {"authorization": f"Bearer {secret}"}
