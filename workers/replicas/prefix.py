"""What of a request tells where it should go: how much it is, and which conversation it goes on with."""

from functools import cache
from hashlib import blake2b
from typing import Final, NamedTuple

from schemas.chat import Chat, Document, Image, Part, Text, part_texts
from schemas.media import Embed

CHARS_OF_A_REQUEST: Final = 8_192
"""So much of a prompt, two thousand tokens, counts as a request more (decision 084 has the figures)."""

SAMPLE_CHARS: Final = 512
"""Of both ends of each text: two conversations that are alike in these, and in all lengths, share a home at worst."""

_MASK: Final = (1 << 64) - 1


class Load(NamedTuple):
    """`work` is 1 and more for a longer prompt; `conversation` is a number that is its own, if it is to be told."""

    work: float = 1.0
    conversation: int | None = None


def load_of(asked: object, prefix_chars: int) -> Load:
    """Chats of fewer characters than `prefix_chars`, and all of them where it is 0, are told from no others."""
    match asked:
        case Chat():
            chars = sum(_chars(part) for message in asked.messages for part in message.parts)
            affine = 0 < prefix_chars <= chars
            return Load(1 + chars / CHARS_OF_A_REQUEST, conversation_of(asked) if affine else None)
        case Embed(inputs=inputs):
            return Load(1 + sum(map(len, inputs)) / CHARS_OF_A_REQUEST)
        case _:
            return Load()


def conversation_of(chat: Chat) -> int:
    """64 bits of how a chat begins: its tools and all that is said up to the first word of the user.

    So every turn has those of the first, in whichever worker.
    """
    digest = blake2b(digest_size=8)
    for tool in chat.tools:
        digest.update(tool.name.encode() + b"\0")
    for message in chat.messages:
        digest.update(message.role.encode())
        for part in message.parts:
            for text in _told(part):
                digest.update(b"%d\0" % len(text))
                digest.update(text.encode() if len(text) <= 2 * SAMPLE_CHARS else _sample(text))
        if message.role == "user":
            break
    return int.from_bytes(digest.digest())


def score(conversation: int, address: str) -> int:
    """How much a conversation is at home at an address: of several, the highest (rendezvous hashing).

    When one is gone, its conversations spread over the others, and all others stay where they are.
    """
    mixed = conversation ^ _seed(address)
    # splitmix64's finalizer: every bit of what goes in moves half of those that come out.
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


@cache
def _seed(address: str) -> int:
    return int.from_bytes(blake2b(address.encode(), digest_size=8).digest())


def _chars(part: Part) -> int:
    return len(part.text) if isinstance(part, Text) else sum(map(len, part_texts(part)))


def _told(part: Part) -> list[str]:
    match part:
        case Text(text=text):
            return [text]
        case Image(data=data, url=url) | Document(data=data, url=url, text=None):
            return [data or url or ""]
        case _:
            return part_texts(part)


def _sample(text: str) -> bytes:
    return (text[:SAMPLE_CHARS] + text[-SAMPLE_CHARS:]).encode()
