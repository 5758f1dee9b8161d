"""llama.cpp's events for one choice as an incremental fold to deltas."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.chunks import Delta, Finish, TextDelta
from schemas.errors import ContextLengthExceeded, EngineFailed, PenstockError, StreamCut
from schemas.usage import Usage
from workers.engines import openai_errors
from workers.engines.openai_stream import FINISH_REASONS, Choice
from workers.engines.openai_usage import WireUsage


class _Timings(msgspec.Struct, gc=False):
    """llama.cpp's own count with every token (`timings_per_token`): new and cached prompt, and output."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0


class _Verbose(msgspec.Struct, gc=False):
    """What llama.cpp says of the end beside OpenAI's words, when it is asked to (`verbose`)."""

    stop_type: str | None = None
    stopping_word: str | None = None

    @property
    def stop_sequence(self) -> str | None:
        return self.stopping_word if self.stop_type == "word" else None


class _Event(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    timings: _Timings | None = None
    error: Any = None
    verbose: _Verbose | None = msgspec.field(name="__verbose", default=None)


_EVENT: Final = msgspec.json.Decoder(_Event)


class ChoiceStream:
    """Folds the events of one generation into deltas of the choice it stands for.

    `usage` is the count so far; None until there was output.
    """

    __slots__ = ("_choice", "_model", "_top_logprobs", "failure", "finished", "usage")

    def __init__(self, model: str, choice: int, top_logprobs: int) -> None:
        self._model = model
        self._choice = choice
        self._top_logprobs = top_logprobs
        self.finished = False
        self.usage: Usage | None = None
        self.failure: PenstockError | None = None

    def fold(self, data: bytes) -> list[Delta]:
        """The deltas of one event; what it says about the prompt's progress gives none."""
        try:
            event = _EVENT.decode(data)
        except msgspec.DecodeError as exc:
            self.failure = EngineFailed(f"The engine of model '{self._model}' gave what is no chat chunk.")
            self.failure.__cause__ = exc
            return []
        if event.error:
            self.failure = self._refused(event.error)
            return []
        if event.usage is not None:
            self.usage = event.usage.canonical()
        elif event.timings is not None and event.timings.predicted_n:
            timings = event.timings
            self.usage = Usage(timings.prompt_n + timings.cache_n, timings.predicted_n, timings.cache_n)
        stop_sequence = None if event.verbose is None else event.verbose.stop_sequence
        return [delta for choice in event.choices or () for delta in self._deltas(choice, stop_sequence)]

    def end(self, exc: BaseException | None) -> None:
        """No more events will come; `exc` is what the generation raised."""
        if isinstance(exc, PenstockError):
            self.failure = exc
        elif exc is not None:
            self.failure = EngineFailed(f"The engine of model '{self._model}' failed.")
            self.failure.__cause__ = exc
        elif self.failure is None and not self.finished:
            self.failure = StreamCut(f"The engine of model '{self._model}' stopped before it had finished.")

    def _refused(self, error: Any) -> PenstockError:
        refusal = openai_errors.of_error(error)
        made = openai_errors.to_error(self._model, openai_errors.status_of(refusal), refusal, secret=None)
        if not isinstance(made, ContextLengthExceeded):
            return made
        # llama.cpp's own words tell whoever runs it to give it more memory; the caller has to send less.
        prompt, context = error.get("n_prompt_tokens", "too many"), error.get("n_ctx", "fewer")
        return ContextLengthExceeded(
            f"The context of model '{self._model}' is {context} tokens; your messages have {prompt}.", param="messages"
        )

    def _deltas(self, choice: Choice, stop_sequence: str | None) -> list[Delta]:
        deltas: list[Delta] = []
        tokens = None if choice.logprobs is None else choice.logprobs.content
        text = "" if choice.delta is None else choice.delta.content or ""
        if text or tokens:
            logprobs = [_token(token, self._top_logprobs) for token in tokens] if tokens else None
            deltas.append(TextDelta(text, self._choice, logprobs))
        if choice.finish_reason and not self.finished:
            self.finished = True
            deltas.append(Finish(FINISH_REASONS.get(choice.finish_reason, "stop"), self._choice, stop_sequence))
        return deltas


def total(usages: Sequence[Usage]) -> Usage:
    """What several choices of one prompt used: the prompt is counted once, as OpenAI counts it."""
    return Usage(
        input_tokens=max(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cached_input_tokens=min(usage.cached_input_tokens for usage in usages),
    )


def _token(token: Mapping[str, Any], top: int) -> dict[str, Any]:
    """OpenAI's token object: without llama.cpp's token ids, and no more alternatives than were asked for."""
    return {**_shown(token), "top_logprobs": [_shown(other) for other in token.get("top_logprobs", ())[:top]]}


def _shown(token: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": token["token"], "logprob": token["logprob"], "bytes": token["bytes"]}
