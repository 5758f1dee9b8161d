"""What the functions on the hot path are given: the sizes of everyday requests."""

from typing import Any, Final

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat, Message, Text
from schemas.chunks import Chunk, Ended, Finish, Frame, TextDelta
from schemas.jobs import Job
from schemas.usage import Price, Usage, UsageEvent

CHUNKS: Final = 32
JOB_ID: Final = "job_019aaf3b2c4d0123456789abcdef0123"
CREATED: Final = 1_763_800_000

MODEL: Final = Model.model_validate(
    {
        "id": "my-model",
        "engine": "openai_compatible",
        "base_url": "http://127.0.0.1:8000/v1",
        "context_tokens": 32_768,
        "max_output_tokens": 4_096,
    }
)


def body(turns: int) -> bytes:
    """A streaming request whose conversation has so many messages of some 500 characters, but one short one."""
    said = "The tide comes in twice a day and goes out again, and nobody has ever asked it why. " * 6
    messages = [{"role": "assistant" if turn % 2 else "user", "content": said} for turn in range(turns - 1)]
    fields: dict[str, Any] = {
        "model": MODEL.id,
        "messages": [*messages, {"role": "user", "content": "Say something about the sea."}],
        "max_tokens": 64,
        "temperature": 0.7,
        "stream": True,
    }
    return msgspec.json.encode(fields)


CHAT: Final = Chat((Message("user", (Text("Say something about the sea."),)),))
JOB: Final = Job(
    id=JOB_ID,
    account="default",
    key_id="key_0123456789abcdef",
    model=MODEL.id,
    operation="chat",
    lane="text.default",
    accepted_at_ms=CREATED * 1000,
    deadline_ms=CREATED * 1000 + 600_000,
    reply_to="penstock:replies:ingress-0123456789abcdef",
    stream=True,
    price=Price(250_000, 125_000, 800_000),
    work=CHAT,
)
DELTAS: Final = [TextDelta(f" tok{number}") for number in range(CHUNKS)]
USAGE: Final = Usage(10, CHUNKS)
ANSWER: Final[list[Chunk]] = [*DELTAS, Finish("stop"), Ended("completed", USAGE)]
FRAME: Final = Frame(JOB_ID, 1, 1, DELTAS[:1], 12.345)
FULL_FRAME: Final = Frame(JOB_ID, 1, 1, DELTAS, 12.345)
EVENT: Final = UsageEvent(
    job_id=JOB_ID,
    account=JOB.account,
    key_id=JOB.key_id,
    model=JOB.model,
    operation=JOB.operation,
    lane=JOB.lane,
    end="completed",
    accepted_at_ms=JOB.accepted_at_ms,
    ended_at_ms=JOB.accepted_at_ms + 1_000,
    queue_wait_ms=3,
    attempt=1,
    usage=USAGE,
    price=JOB.price,
    first_chunk_ms=120,
)


def engine_event(text: str) -> bytes:
    """One chunk as an OpenAI-compatible engine sends it."""
    fields = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL.id,
        "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}],
    }
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"
