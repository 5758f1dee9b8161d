"""The pure functions that a request, and each of its chunks, passes through."""

from collections.abc import Iterator
from functools import partial

from benchmarks.micro import material
from benchmarks.micro.material import ANSWER, CHAT, CHUNKS, CREATED, DELTAS, JOB, JOB_ID, MODEL
from benchmarks.micro.timing import Timing, timed
from ingress.contract import check_chat
from ingress.operations.chat import PATH
from ingress.tokens import reserve_tokens
from ingress.translate.openai_chat import ReplyFold, StreamWriter, parse, to_chat
from schemas import jobs
from storage import replies
from workers.engines import openai_request
from workers.engines.openai_stream import ChatStream
from workers.engines.sse import EventData
from workers.meter import Meter
from workers.outcome import EVENT_ENCODER

LONG = 40
"""Messages of a conversation that has gone on for a while: 20 kB."""


def measure() -> Iterator[Timing]:
    yield from _door()
    yield from _way_there()
    yield from _engine()
    yield from _way_back()


def _door() -> Iterator[Timing]:
    short, long = material.body(1), material.body(LONG)
    asked = parse(short)
    yield timed("ingress: parse, 1 message", partial(parse, short))
    yield timed(f"ingress: parse, {LONG} messages, {len(long) // 1000} kB", partial(parse, long))
    yield timed("ingress: check_chat", partial(check_chat, MODEL, PATH, asked))
    yield timed("ingress: to_chat", partial(to_chat, asked, MODEL))
    yield timed("ingress: reserve_tokens", partial(reserve_tokens, CHAT, MODEL))


def _way_there() -> Iterator[Timing]:
    envelope = jobs.ENCODER.encode(JOB)
    yield timed("envelope: encode", partial(jobs.ENCODER.encode, JOB))
    yield timed("envelope: decode", partial(jobs.DECODER.decode, envelope))
    yield timed("usage event: encode", partial(EVENT_ENCODER.encode, material.EVENT))


def _engine() -> Iterator[Timing]:
    events = [material.engine_event(delta.text) for delta in DELTAS]
    together = b"".join(events)
    shape = openai_request.Shape(MODEL.upstream_name)
    yield timed("worker: request to the engine", lambda: openai_request.encode(openai_request.body(shape, CHAT)))
    data, stream, meter = EventData(), ChatStream(MODEL.id, 1), Meter(CHAT)
    yield timed("worker: events from bytes, a chunk alone", partial(data.feed, events[0]))
    yield timed("worker: deltas from bytes, a chunk alone", partial(stream.feed, events[0]))
    yield timed(f"worker: deltas from bytes, a chunk of {CHUNKS}", partial(stream.feed, together), each=CHUNKS)
    yield timed("worker: meter, a chunk alone", partial(meter.add, DELTAS[:1]))


def _way_back() -> Iterator[Timing]:
    one, full = [material.FRAME], [material.FULL_FRAME]
    one_frame, full_frame = replies.ENCODER.encode(one), replies.ENCODER.encode(full)
    yield timed("frame: encode, 1 chunk", partial(replies.ENCODER.encode, one))
    yield timed("frame: decode, 1 chunk", partial(replies.decode_frames, one_frame))
    yield timed(f"frame: encode, a chunk of {CHUNKS}", partial(replies.ENCODER.encode, full), each=CHUNKS)
    yield timed(f"frame: decode, a chunk of {CHUNKS}", partial(replies.decode_frames, full_frame), each=CHUNKS)
    writer = StreamWriter(JOB_ID, MODEL.id, CREATED, include_usage=True)
    yield timed("ingress: server-sent event, a chunk alone", partial(writer.write, DELTAS[:1]))
    yield timed(f"ingress: server-sent events, a chunk of {CHUNKS}", partial(writer.write, DELTAS), each=CHUNKS)
    yield timed(f"ingress: a whole reply of {CHUNKS} chunks", _whole_reply)


def _whole_reply() -> bytes:
    fold = ReplyFold(JOB_ID, MODEL.id, CREATED)
    fold.add(ANSWER)
    return fold.reply()
