"""A bucket, or the part of it below a prefix, asked step by step by threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.content_types import type_by_ending
from storage.objects import ObjectHead, checked_key
from storage.s3_client import S3Failed, translated

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Bucket:
    """`prefix` is empty or ends with a slash."""

    client: "S3Client"
    name: str
    prefix: str

    def key(self, key: str) -> str:
        return checked_key(self.prefix + checked_key(key))

    def put(self, key: str, body: bytes, content_type: str | None) -> None:
        with translated(key):
            self.client.put_object(
                Bucket=self.name, Key=self.key(key), Body=body, ContentType=content_type or type_by_ending(key)
            )

    def head(self, key: str) -> ObjectHead:
        with translated(key):
            seen = self.client.head_object(Bucket=self.name, Key=self.key(key))
        return ObjectHead(seen["ContentLength"], seen.get("ContentType", type_by_ending(key)), seen["ETag"])

    def delete(self, key: str) -> None:
        with translated(key):
            self.client.delete_object(Bucket=self.name, Key=self.key(key))

    def groups(self, prefix: str) -> list[str]:
        top = f"{self.key(prefix)}/" if prefix else self.prefix
        with translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=top, Delimiter="/")
            found = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ())]
        return sorted(each.removeprefix(top).rstrip("/") for each in found)

    def delete_group(self, prefix: str) -> None:
        for keys in self._pages(prefix):
            with translated(prefix):
                answer = self.client.delete_objects(
                    Bucket=self.name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
            if failed := answer.get("Errors"):
                first = failed[0]
                raise S3Failed(f"{first.get('Key')} and {len(failed) - 1} more are not deleted: {first.get('Message')}")

    def _pages(self, prefix: str) -> Iterator[list[str]]:
        """What is below a prefix, as much at a time as S3 lists and deletes at once."""
        with translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{self.key(prefix)}/"
            )
            for page in pages:
                if keys := [each["Key"] for each in page.get("Contents", ())]:
                    yield keys
