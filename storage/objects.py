"""Object storage: bodies too large for the log, and what is kept for longer than Redis should hold it.

A key is a path of names, told from the account and the job that it belongs to: `media/{account}/{job}/{name}`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

MOST_KEY_BYTES: Final = 1024
"""S3's own limit, with whatever prefix stands before the key."""


PART_BYTES: Final = 8 * 1024 * 1024
"""Held in memory for each upload. S3 takes no part but the last below 5 MiB, and 10,000 of them: 80 GB here."""


class InParts(msgspec.Struct, frozen=True):
    """An object that is being put part by part, by whoever holds this: how far it is, for another to go on with."""

    upload: str
    content_type: str | None = None
    size_bytes: int = 0
    tags: tuple[str, ...] = ()


class ObjectHead(NamedTuple):
    """What is known of an object without its body; `etag` changes when the body does."""

    size_bytes: int
    content_type: str
    etag: str


class Objects(Protocol):
    """Where objects rest. A put is whole or absent, whatever process dies in the middle.

    Every method raises ValueError for a key that is none (`checked_key`) and OSError when the storage is out of reach.
    """

    async def put(self, key: str, body: bytes, *, content_type: str | None = None) -> None:
        """Puts it in place of what was there; its type is told from the key's ending if it is not given."""
        ...

    async def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Puts many, of which any may be there when it fails."""
        ...

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes], *, content_type: str | None = None) -> int:
        """Puts what comes, piece by piece, and returns its size in bytes.

        Nothing is there before the last piece has come, and nothing remains when `pieces` raises or the caller is
        cancelled.
        """
        ...

    async def begin_parts(self, key: str, content_type: str | None = None) -> InParts:
        """Begins an object that is put part by part, perhaps by many processes one after the other.

        Nothing is there before `finish_parts`. What is not gone on with is forgotten within a day or two.
        """
        ...

    async def add_part(self, key: str, parts: InParts, part: bytes) -> InParts:
        """Adds PART_BYTES or more behind what `parts` tells of, in place of what was there, if anything was.

        Raises FileNotFoundError where the upload is known no more.
        """
        ...

    async def finish_parts(self, key: str, parts: InParts, rest: bytes) -> int:
        """Adds the rest, has the object be there, and returns its size in bytes. Raises as `add_part`.

        Done again, it leaves the object as it is, and raises or not.
        """
        ...

    async def forget_parts(self, key: str, parts: InParts) -> None:
        """Gives an upload up that will not be finished."""
        ...

    async def get(self, key: str) -> bytes:
        """The whole body. Raises FileNotFoundError."""
        ...

    async def head(self, key: str) -> ObjectHead:
        """Raises FileNotFoundError."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The body from byte `start` up to, not with, byte `end`, in pieces of a bounded size.

        All of it is of one version of the object. Raises FileNotFoundError before the first piece.
        """
        ...

    async def delete(self, key: str) -> None:
        """Deletes the object if it is there."""
        ...

    async def groups(self, prefix: str) -> list[str]:
        """The names that stand directly below a prefix and have objects below themselves, in order."""
        ...

    async def delete_group(self, prefix: str) -> None:
        """Deletes every object below a prefix, also while another process does."""
        ...

    async def signed_url(self, key: str, until_ms: int, *, file_name: str | None = None) -> str:
        """Where whoever has the URL, and nothing else, can read the object until then.

        With a file name, a browser saves it under that name. Whether there is such an object is not looked up.
        """
        ...


@runtime_checkable
class ServedHere(Protocol):
    """Object storage whose signed URLs lead to the ingress."""

    def check(self, key: str, signed: Mapping[str, str], now_ms: int) -> str | None:
        """The file name of a URL with this query. Raises Forbidden, or Expired when its time is over."""
        ...


def checked_key(key: str) -> str:
    """The key, if no storage takes it for another or for none. Raises ValueError.

    No name in it is empty or begins with a dot: those are `..`, and what a folder keeps for itself.
    """
    if not all(name and name[0] != "." for name in key.split("/")):
        raise ValueError(f"{key!r} leaves its place")
    if not key.isprintable() or "\\" in key or len(key.encode()) > MOST_KEY_BYTES:
        raise ValueError(f"{key!r} is no object's key")
    return key
