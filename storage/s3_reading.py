"""An object of S3, read piece by piece."""

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from botocore.response import StreamingBody

from storage.s3_bucket import Bucket
from storage.s3_client import code_of, translated

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import GetObjectRequestTypeDef

PAST_THE_END: Final = "InvalidRange"

RESUMED: Final = 3
"""How often in a row a body that is cut is asked for again from where it was cut."""

CUT: Final = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
"""A slow reader is cut, too: servers close connections on which nothing moves."""


class Reading:
    """From byte `start` up to, not with, byte `end`; opened by the first read."""

    def __init__(self, bucket: Bucket, key: str, start: int, end: int | None) -> None:
        self._bucket = bucket
        self._key = key
        self._at = start
        self._end = end
        self._etag: str | None = None
        self._body: StreamingBody | None = None

    def read(self, most_bytes: int) -> bytes:
        """The next bytes; none at the end. Raises FileNotFoundError at the first, OSError at any."""
        cuts = 0
        with translated(self._key):
            while True:
                try:
                    body = self._body or self._open()
                    piece = body.read(most_bytes) if body else b""
                except CUT:
                    self.close()
                    cuts += 1
                    if cuts > RESUMED:
                        raise
                else:
                    self._at += len(piece)
                    return piece

    def close(self) -> None:
        """Gives up the connection, unless all of the body was read."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _open(self) -> StreamingBody | None:
        """The body from where the reader stands; None at its end, where S3 knows no range."""
        if self._end is not None and self._at >= self._end:
            self._bucket.head(self._key)
            return None
        asked: GetObjectRequestTypeDef = {"Bucket": self._bucket.name, "Key": self._bucket.key(self._key)}
        if self._at or self._end is not None:
            asked["Range"] = f"bytes={self._at}-{'' if self._end is None else self._end - 1}"
        if self._etag is not None:
            asked["IfMatch"] = self._etag
        try:
            answer = self._bucket.client.get_object(**asked)
        except ClientError as failure:
            if code_of(failure) == PAST_THE_END:
                return None
            raise
        self._etag, self._body = answer["ETag"], answer["Body"]
        return self._body
