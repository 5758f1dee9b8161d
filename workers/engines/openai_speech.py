"""Any upstream that speaks OpenAI's speech: vLLM-Omni, OpenAI, another Penstock. Its bytes go on as they come."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import msgspec

from schemas.catalog import Model
from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineFailed, PenstockError, StreamCut
from schemas.media import AudioFormat, Speak
from schemas.media_chunks import Audio
from schemas.usage import Usage
from workers.engines import openai_errors, setup
from workers.engines.upstream import Answer, Upstream, checked_headers

ENCODE: Final = msgspec.json.Encoder().encode

SOUND: Final = Answer("audio/*", ("audio/", "application/octet-stream", "application/ogg"), "sound", delimited=True)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row of the modality speech.

    `stream_formats`: the formats in which the upstream has to be told to send its sound as it is made, at speed 1:
    vLLM-Omni streams pcm and wav so, and refuses to stream others (0.22, 2026-06).
    """

    stream_formats: tuple[AudioFormat, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class OpenAISpeech:
    """One row's upstream."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._options = options
        self._fields = {"model": model.upstream_name, **options.body}
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/audio/speech", headers, self._refused, expected=SOUND)

    def generate(self, job_id: str, asked: Speak) -> AsyncGenerator[Sequence[Delta], None]:
        return self._upstream.stream(job_id, ENCODE(self._body(asked)), SoundFold(self._model, len(asked.text)))

    async def close(self) -> None:
        await self._upstream.close()

    def _body(self, asked: Speak) -> dict[str, Any]:
        """What asks for nothing is left out: upstreams differ in what they know."""
        body = {**self._fields, "input": asked.text, "voice": asked.voice, "response_format": asked.output_format}
        if asked.instructions is not None:
            body["instructions"] = asked.instructions
        if asked.speed != 1:
            body["speed"] = asked.speed
        elif asked.output_format in self._options.stream_formats:
            body["stream_format"] = "audio"
        return body

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )


class SoundFold:
    """One sound's bytes as they come, until HTTP says that it is whole; what was asked is counted in characters."""

    finished = False
    """A sound has no mark of its own for its end."""

    def __init__(self, model: str, characters: int) -> None:
        self._model = model
        self._characters = characters
        self.heard = False
        self.done = False
        self.failure: PenstockError | None = None

    def feed(self, data: bytes) -> list[Delta]:
        if self.heard:
            return [Audio(data)]
        self.heard = True
        return [Audio(data), UsageReport(Usage(units=self._characters))]

    def end(self) -> list[Delta]:
        self.done = True
        if not self.heard:
            self.failure = EngineFailed(f"The engine of model '{self._model}' answered without a sound.")
        return []

    def cut(self, how: str) -> StreamCut:
        return StreamCut(f"The engine of model '{self._model}' {how} in the middle of its sound.")
