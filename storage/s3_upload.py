"""An object of S3, put part by part."""

from typing import TYPE_CHECKING, Final

from storage.s3_bucket import Bucket
from storage.s3_client import translated

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES: Final = 8 * 1024 * 1024
"""Held in memory for each upload. S3 takes no part but the last below 5 MiB, and 10,000 of them: 80 GB here."""


class Upload:
    """Begins with the first part; `complete` or `abort` ends it. What is smaller than a part is put in one piece."""

    def __init__(self, bucket: Bucket, key: str, content_type: str) -> None:
        self._bucket = bucket
        self._key = key
        self._type = content_type
        self._id: str | None = None
        self._etags: list[str] = []
        self.size_bytes = 0

    def add(self, part: bytes) -> None:
        with translated(self._key):
            if self._id is None:
                begun = self._bucket.client.create_multipart_upload(
                    Bucket=self._bucket.name, Key=self._bucket.key(self._key), ContentType=self._type
                )
                self._id = begun["UploadId"]
            put = self._bucket.client.upload_part(
                Bucket=self._bucket.name,
                Key=self._bucket.key(self._key),
                UploadId=self._id,
                PartNumber=len(self._etags) + 1,
                Body=part,
            )
        self._etags.append(put["ETag"])
        self.size_bytes += len(part)

    def complete(self, rest: bytes) -> None:
        """Adds what is left, and has the object be there."""
        if self._id is None:
            self._bucket.put(self._key, rest, self._type)
            self.size_bytes = len(rest)
            return
        if rest:
            self.add(rest)
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, 1)
        ]
        with translated(self._key):
            self._bucket.client.complete_multipart_upload(
                Bucket=self._bucket.name,
                Key=self._bucket.key(self._key),
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
            )

    def abort(self) -> None:
        """Has S3 forget the parts, for which it would ask money."""
        if self._id is not None:
            with translated(self._key):
                self._bucket.client.abort_multipart_upload(
                    Bucket=self._bucket.name, Key=self._bucket.key(self._key), UploadId=self._id
                )
