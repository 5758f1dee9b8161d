"""A GGUF model on llama.cpp, in the worker's own process and off its event loop."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from schemas.catalog import Model
from schemas.chat import Chat, Sampling
from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineUnavailable
from schemas.usage import Usage
from workers.engines import openai_request, setup
from workers.engines.llama_count import PromptCounter
from workers.engines.llama_server import LlamaServer, Options, load, model_file
from workers.engines.llama_stream import ChoiceStream, total
from workers.engines.mailbox import End, Mailbox

RETRY_AFTER_S: Final = 1.0
"""A slot's turn is about that long, so that is when it is worth asking a full queue again."""

SEEDS: Final = 2**32 - 1
"""llama.cpp's seeds are 32 bits, of which the last stands for chance."""


class LlamaCpp:
    """One row's model. Every choice of a job is a generation of its own in one of the slots."""

    def __init__(self, model: Model, secret: str | None) -> None:
        self._options = setup.options(model, Options)
        self._path = model_file(model, self._options)
        self._model = model
        self._shape = openai_request.Shape(model.upstream_name)
        self._threads = ThreadPoolExecutor(self._options.n_parallel, thread_name_prefix=f"llama {model.id}")
        self._server: LlamaServer | None = None
        self._counter: PromptCounter | None = None
        self._open: set[Mailbox] = set()
        self._pending = 0

    @property
    def slots(self) -> int:
        return self._options.n_parallel

    async def start(self) -> None:
        """Loads the model. Raises SetupError."""
        loop = asyncio.get_running_loop()
        key = secrets.token_urlsafe(32)
        self._server = server = await loop.run_in_executor(None, load, self._model, self._options, self._path, key)
        self._counter = PromptCounter(self._model.id, server.listening_address, key)

    async def count_tokens(self, chat: Chat) -> int:
        if self._counter is None:
            raise self._not_there()
        return await self._counter.count(openai_request.encode(body_of(self._shape, self._model, chat, 0)))

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        loop = asyncio.get_running_loop()
        choices = chat.sampling.choices
        top = chat.sampling.top_logprobs or 0
        streams = [ChoiceStream(self._model.id, choice, top) for choice in range(choices)]
        self._make_room(choices)
        mailbox = Mailbox(loop)
        self._open.add(mailbox)
        futures = [self._submit(chat, choice, mailbox) for choice in range(choices)]
        limit_s, reported = self._model.timeouts.first_chunk_s, None
        try:
            running = choices
            while running:
                deltas: list[Delta] = []
                for choice, content in await self._take(mailbox, limit_s):
                    if isinstance(content, End):
                        running -= 1
                        streams[choice].end(content.error)
                    else:
                        deltas += streams[choice].fold(content)
                usage = _count(streams)
                if usage is not None and usage != reported:
                    reported = usage
                    deltas.append(UsageReport(usage))
                if deltas:
                    yield deltas
                    limit_s = self._model.timeouts.silence_s
                for stream in streams:
                    if stream.failure is not None:
                        raise stream.failure
        finally:
            mailbox.close()
            self._open.discard(mailbox)
            for future in futures:
                future.cancel()

    async def close(self) -> None:
        """Aborts what runs, waits for its threads, then unloads the model."""
        for mailbox in self._open:
            mailbox.close()
        await asyncio.get_running_loop().run_in_executor(None, self._unload)

    def _unload(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._server = self._counter = None

    def _make_room(self, choices: int) -> None:
        if self._pending + choices > self._options.n_parallel + self._options.queue:
            raise EngineUnavailable(
                f"The engine of model '{self._model.id}' has no room for more requests.", retry_after_s=RETRY_AFTER_S
            )

    def _submit(self, chat: Chat, choice: int, mailbox: Mailbox) -> Future[None]:
        loop = asyncio.get_running_loop()
        body = openai_request.encode(body_of(self._shape, self._model, chat, choice))
        self._pending += 1

        def ended(future: Future[None]) -> None:
            loop.call_soon_threadsafe(self._leave)
            mailbox.put(choice, End(None if future.cancelled() else future.exception()))

        future = self._threads.submit(self._run, body, choice, mailbox)
        future.add_done_callback(ended)
        return future

    def _run(self, body: bytes, choice: int, mailbox: Mailbox) -> None:
        """One generation, in a thread of the pool, whose size is the number of slots."""
        if mailbox.closed:
            return
        if self._server is None:
            raise self._not_there()
        self._server.handle_chat_completions(body, lambda event: mailbox.put(choice, event))

    def _not_there(self) -> EngineUnavailable:
        return EngineUnavailable(f"The engine of model '{self._model.id}' has not been started, or was closed.")

    def _leave(self) -> None:
        self._pending -= 1

    async def _take(self, mailbox: Mailbox, limit_s: float) -> Sequence[tuple[int, bytes | End]]:
        try:
            async with asyncio.timeout(limit_s):
                return await mailbox.take()
        except TimeoutError as exc:
            raise EngineUnavailable(f"The engine of model '{self._model.id}' was silent for too long.") from exc


def body_of(shape: openai_request.Shape, model: Model, chat: Chat, choice: int) -> dict[str, Any]:
    """What llama.cpp is asked for one choice: OpenAI's body, with its own names where it has them.

    `return_progress` gives an event after every step through the prompt, and with it the chance to abort there.
    """
    sampling: Sampling = chat.sampling
    fields = openai_request.body(shape, chat)
    fields.pop("n", None)
    fields |= {"return_progress": True, "timings_per_token": True}
    fields["max_tokens"] = min(sampling.max_output_tokens or model.max_output_tokens, model.max_output_tokens)
    if sampling.stop:
        # Only then does it say which one it hit.
        fields["verbose"] = True
    if sampling.repetition_penalty is not None:
        fields["repeat_penalty"] = fields.pop("repetition_penalty")
    if sampling.logprobs:
        # None would mean 20 here, and 0 no logprobs at all.
        fields["top_logprobs"] = max(1, sampling.top_logprobs or 0)
    if sampling.seed is not None:
        # The same seed for all would give the same text for all.
        fields["seed"] = (sampling.seed + choice) % SEEDS
    return fields


def _count(streams: Sequence[ChoiceStream]) -> Usage | None:
    usages = [stream.usage for stream in streams if stream.usage is not None]
    return total(usages) if usages else None
