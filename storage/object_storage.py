"""The object storage that the settings name, opened for a process."""

import asyncio
import pkgutil
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, cast

from schemas.errors import InvalidValue
from storage.draft import discard_old
from storage.object_folder import ObjectFolder
from storage.objects import Objects, checked_key
from storage.settings import StorageSettings
from storage.signed_urls import UrlSigner, kept_secret

S3_SCHEME: Final = "s3://"

BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")

S3: Final = "storage.objects_s3:open_s3"
"""By name and not by import: boto3 takes a third of a second to load, in each process."""


@asynccontextmanager
async def open_objects(settings: StorageSettings) -> AsyncIterator[Objects]:
    """Raises InvalidValue when the storage cannot be used as it is set up."""
    if settings.objects.startswith(S3_SCHEME):
        name, _, prefix = settings.objects.removeprefix(S3_SCHEME).strip("/").partition("/")
        if not BUCKET.fullmatch(name):
            raise InvalidValue(f"PENSTOCK_OBJECTS: {name!r} is no bucket's name.")
        open_s3 = cast(
            Callable[[StorageSettings, str, str], AbstractAsyncContextManager[Objects]], pkgutil.resolve_name(S3)
        )
        async with open_s3(settings, name, f"{_checked(prefix)}/" if prefix else "") as objects:
            yield objects
    elif "://" in settings.objects:
        raise InvalidValue("PENSTOCK_OBJECTS: a folder, or s3://bucket/prefix.")
    else:
        folder = Path(settings.objects)
        try:
            await asyncio.to_thread(discard_old, folder)
            secret = settings.objects_secret.get_secret_value().encode() or kept_secret(folder)
        except OSError as failure:
            raise InvalidValue(f"PENSTOCK_OBJECTS: {failure}") from failure
        yield ObjectFolder(folder, UrlSigner(settings.public_url, secret))


def _checked(prefix: str) -> str:
    try:
        return checked_key(prefix)
    except ValueError as failure:
        raise InvalidValue(f"PENSTOCK_OBJECTS: the prefix {failure}.") from failure
