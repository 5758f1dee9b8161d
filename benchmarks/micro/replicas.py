"""What a row with several addresses costs a request more than one with one."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from benchmarks.micro.material import CHAT
from benchmarks.micro.timing import Timing, timed
from schemas.chat import Chat, Message, Text
from workers.replicas.choice import choose
from workers.replicas.prefix import load_of
from workers.replicas.replica import Replica

ADDRESSES: Final = 8
PREFIX_CHARS: Final = 2048

SAID: Final = "The tide comes in twice a day and goes out again, and nobody has ever asked it why. " * 6
LONG: Final = Chat(tuple(Message("assistant" if turn % 2 else "user", (Text(SAID),)) for turn in range(40)))


def measure() -> Iterator[Timing]:
    replicas: list[Replica[Any]] = [
        Replica("bench", f"10.0.0.{number}:8000", None, _no_time) for number in range(ADDRESSES)
    ]
    for what, chat in (("1 message", CHAT), ("40 messages, 20 kB", LONG)):
        load = load_of(chat, PREFIX_CHARS)
        yield timed(f"replicas: what a request is, {what}", partial(load_of, chat, PREFIX_CHARS))
        yield timed(f"replicas: one of {ADDRESSES}, {what}", partial(choose, replicas, load))
    yield timed("replicas: a request's turn", partial(_turn, replicas[0]))


def _turn(replica: Replica[Any]) -> None:
    with replica.turn(1.0):
        replica.begun()


def _no_time() -> float:
    return 0.0
