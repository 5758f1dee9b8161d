"""An object of S3, put part by part."""

from typing import TYPE_CHECKING

from storage.objects import InParts
from storage.s3_bucket import Bucket
from storage.s3_client import translated

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef


class Upload:
    """Begins with the first part; `complete` or `abort` ends it. What is smaller than a part is put in one piece."""

    def __init__(self, bucket: Bucket, key: str, content_type: str, parts: InParts | None = None) -> None:
        """With `parts`, goes on where another one stopped."""
        self._bucket = bucket
        self._key = key
        self._type = content_type
        self._id = None if parts is None else parts.upload
        self._etags: list[str] = [] if parts is None else list(parts.tags)
        self.size_bytes = 0 if parts is None else parts.size_bytes

    def begin(self) -> str:
        with translated(self._key):
            begun = self._bucket.client.create_multipart_upload(
                Bucket=self._bucket.name, Key=self._bucket.key(self._key), ContentType=self._type
            )
        self._id = begun["UploadId"]
        return self._id

    def parts(self) -> InParts:
        """How far it is, for another one to go on."""
        assert self._id is not None, self._key
        return InParts(self._id, self._type, self.size_bytes, tuple(self._etags))

    def add(self, part: bytes) -> None:
        upload_id = self._id or self.begin()
        with translated(self._key):
            put = self._bucket.client.upload_part(
                Bucket=self._bucket.name,
                Key=self._bucket.key(self._key),
                UploadId=upload_id,
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
