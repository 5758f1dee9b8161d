"""A Piper voice in the worker's own process and off its event loop: sound goes out sentence by sentence."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import EngineFailed, EngineUnavailable, InvalidValue
from schemas.media import Speak
from schemas.media_chunks import Audio
from schemas.usage import Usage
from workers.engines import setup
from workers.engines.mailbox import End, Mailbox
from workers.engines.piper_voice import Options, Speech, Voice, load
from workers.sound import SAMPLE_BYTES, SoundEncoder

PIECE_S: Final = 0.1
"""What is encoded at once: the first bytes do not wait for a whole sentence to be encoded."""


class Piper:
    """One row's voice."""

    def __init__(self, model: Model, secret: str | None) -> None:
        self._options = setup.options(model, Options)
        self._model = model
        self._threads = ThreadPoolExecutor(self._options.jobs, thread_name_prefix=f"piper {model.id}")
        self._voice: Voice | None = None
        self._open: dict[Mailbox, Speech] = {}

    @property
    def slots(self) -> int:
        return self._options.jobs

    async def start(self) -> None:
        """Loads the voice. Raises SetupError."""
        self._voice = await asyncio.to_thread(load, self._model, self._options)

    async def generate(self, job_id: str, asked: Speak) -> AsyncGenerator[Sequence[Audio | UsageReport], None]:
        mailbox = Mailbox(asyncio.get_running_loop())
        future = self._begin(asked, mailbox)
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
        self._voice = None

    def _begin(self, asked: Speak, mailbox: Mailbox) -> Future[None]:
        if self._voice is None:
            raise EngineUnavailable(f"The engine of model '{self._model.id}' has not been started, or was closed.")
        self._open[mailbox] = speech = Speech(self._voice)
        future = self._threads.submit(_speak, self._voice, speech, asked, mailbox)
        future.add_done_callback(lambda done: mailbox.put(0, End(None if done.cancelled() else done.exception())))
        return future

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


def _speak(voice: Voice, speech: Speech, asked: Speak, mailbox: Mailbox) -> None:
    """One whole text, in a thread; what is closed in the middle ends there."""
    encoder = SoundEncoder(asked.output_format, voice.rate_hz)
    piece_bytes = int(PIECE_S * voice.rate_hz) * SAMPLE_BYTES
    spoken = False
    for samples in speech.samples(asked.text, asked.voice, asked.speed):
        spoken = spoken or bool(samples)
        for begin in range(0, len(samples), piece_bytes):
            if mailbox.put(0, encoder.feed(samples[begin : begin + piece_bytes])):
                return
    if spoken:
        mailbox.put(0, encoder.end())
