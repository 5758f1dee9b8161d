"""A Piper voice in the worker's own process and off its event loop: sound goes out sentence by sentence."""

import asyncio
import pkgutil
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import EngineFailed, EngineUnavailable, InvalidValue
from schemas.media import Speak
from schemas.media_chunks import Audio
from schemas.usage import Usage
from workers.engines import setup
from workers.engines.mailbox import End, Mailbox
from workers.engines.once import Once
from workers.engines.piper_files import Options, check

if TYPE_CHECKING:
    from workers.engines.piper_voice import Speech, Voice

LOAD: Final = "workers.engines.piper_voice:load"
"""By name and not by import: what speaks is 60 MB that a worker nobody asks for speech does not need."""


class Piper:
    """One row's voice."""

    def __init__(self, model: Model, secret: str | None) -> None:
        self._options = setup.options(model, Options)
        self._model = model
        self._threads = ThreadPoolExecutor(self._options.jobs, thread_name_prefix=f"piper {model.id}")
        self._voice = Once(model.id, self._load)
        self._open: dict[Mailbox, Speech] = {}

    @property
    def slots(self) -> int:
        return self._options.jobs

    async def start(self) -> None:
        """Sees that all is there, and loads what an operator has brought; the embedded voice waits to be asked.

        Raises SetupError.
        """
        check(self._model, self._options)
        if self._options.model_path is not None:
            await self._voice.load()

    async def generate(self, job_id: str, asked: Speak) -> AsyncGenerator[Sequence[Audio | UsageReport], None]:
        voice = await self._voice.get()
        mailbox = Mailbox(asyncio.get_running_loop())
        future = self._begin(voice, asked, mailbox)
        counted: list[UsageReport] = [UsageReport(Usage(units=len(asked.text)))]
        timeouts = self._model.timeouts
        limit_s, ended = timeouts.first_chunk_s, False
        try:
            while not ended:
                items = [item for _, item in await self._take(mailbox, limit_s)]
                if data := b"".join(item for item in items if isinstance(item, bytes)):
                    yield [Audio(data), *counted]
                    limit_s, counted = timeouts.silence_s, []
                for item in items:
                    if isinstance(item, End):
                        ended = True
                        self._check(mailbox, item)
            if counted:
                raise InvalidValue("'input' holds nothing that could be spoken.", param="input")
        finally:
            self._stop(mailbox)
            future.cancel()

    async def close(self) -> None:
        """Stops what is being said, and returns when its threads are done."""
        for mailbox in list(self._open):
            self._stop(mailbox)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        await self._voice.close()

    def _begin(self, voice: "Voice", asked: Speak, mailbox: Mailbox) -> Future[None]:
        self._open[mailbox] = speech = voice.speech()
        future = self._threads.submit(speech.speak, asked, mailbox)
        future.add_done_callback(lambda done: mailbox.put(0, End(None if done.cancelled() else done.exception())))
        return future

    def _load(self) -> "Voice":
        voice: Voice = pkgutil.resolve_name(LOAD)(self._model, self._options)
        return voice

    def _stop(self, mailbox: Mailbox) -> None:
        mailbox.close()
        if (speech := self._open.pop(mailbox, None)) is not None:
            speech.stop()

    async def _take(self, mailbox: Mailbox, limit_s: float) -> Sequence[tuple[int, bytes | End]]:
        try:
            async with asyncio.timeout(limit_s):
                return await mailbox.take()
        except TimeoutError as exc:
            raise EngineUnavailable(f"The engine of model '{self._model.id}' was silent for too long.") from exc

    def _check(self, mailbox: Mailbox, end: End) -> None:
        """Return if the text was spoken to its end; else raise EngineUnavailable or EngineFailed."""
        if mailbox.closed:
            raise EngineUnavailable(f"The engine of model '{self._model.id}' was closed.")
        if end.error is not None:
            raise EngineFailed(f"The engine of model '{self._model.id}' failed while it spoke.") from end.error
