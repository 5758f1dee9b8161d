"""A job's sound as an HTTP body of bytes, sent as they are made."""

import time
from typing import Final

from starlette.types import Send

from ingress import metrics
from ingress.answer import Answer
from ingress.submission import Submission
from ingress.submit import Submitter
from ingress.translate.openai_speech import sound_of, speech_error
from schemas.chunks import Ended

HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class SoundAnswer(Answer):
    """Holds the status back until there is sound or an error; a sound has no room for a sign of life.

    After the first byte there is no room for an error either: the body is then left without its last chunk and the
    connection closed, which every client takes for a transfer that failed and none for the end of the sound.
    """

    def __init__(
        self, submitter: Submitter, submission: Submission, request_id: str, started: float, content_type: str
    ) -> None:
        super().__init__(submitter, submission, request_id, started)
        self._sound_headers = {**HEADERS, "content-type": content_type}
        self._begun = False
        self._relayed = metrics.CHUNKS.labels(submission.job.model)

    async def _answer(self, send: Send) -> None:
        while True:
            chunks = await self._mailbox.take()
            if sound := sound_of(chunks):
                await self._send(send, sound)
            if chunks and isinstance(ended := chunks[-1], Ended):
                break
        error = speech_error(ended, heard=self._begun)
        if error is None:
            await send({"type": "http.response.body", "body": b""})
        elif self._begun:
            metrics.ERRORS.labels(error.code).inc()
        else:
            await self._refuse(send, error)

    async def _send(self, send: Send, sound: bytes) -> None:
        if not self._begun:
            self._begun = True
            metrics.FIRST_CHUNK.labels(self._model).observe(time.perf_counter() - self._started)
            await self._start(send, 200, self._sound_headers)
        self._relayed.inc()
        await send({"type": "http.response.body", "body": sound, "more_body": True})
