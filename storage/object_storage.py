"""The object storage that the settings name, opened for a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.object_folder import ObjectFolder
from storage.objects import Objects
from storage.settings import StorageSettings
from storage.signed_urls import UrlSigner, kept_secret


@asynccontextmanager
async def open_objects(settings: StorageSettings) -> AsyncIterator[Objects]:
    """Raises InvalidValue when the storage cannot be used as it is set up."""
    folder = Path(settings.objects)
    secret = settings.objects_secret.get_secret_value().encode() or kept_secret(folder)
    yield ObjectFolder(folder, UrlSigner(settings.public_url, secret))
