"""Makes a data folder fit to start on: the catalogue checked, the database migrated, a first key in its file.

A program of its own, `python -m penstock.prepare KEY_FILE`, so that the supervisor need not load what it loads. It
prints the lanes that have to be served, one a line.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from penstock.step import REFUSED
from schemas.errors import PenstockError
from storage.catalog import CatalogError, catalog_files, load_catalog
from storage.database import Database
from storage.keys import KeyStore, hash_secret
from storage.migrate import migrate
from storage.settings import StorageSettings

FIRST_ACCOUNT: Final = "default"


def main() -> int:
    key_file, settings = Path(sys.argv[1]), StorageSettings()
    try:
        catalog = load_catalog(catalog_files(settings.catalog))
        migrate(settings.database)
        kept = key_file.read_text().strip() if key_file.exists() else None
        if secret := asyncio.run(first_key(settings.database, kept)):
            _write_secret(key_file, secret)
    except (CatalogError, PenstockError) as failure:
        print(failure)
        return REFUSED
    print(*sorted(catalog.lanes()), sep="\n")
    return 0


async def first_key(database_url: str, kept: str | None) -> str | None:
    """The secret of a new key, unless the one that was `kept` from an earlier start still opens the door."""
    database = await Database.open(database_url)
    try:
        keys = KeyStore(database)
        known = None if kept is None else await keys.find(hash_secret(kept))
        if known is not None and known.revoked_at_ms is None:
            return None
        return (await keys.create(FIRST_ACCOUNT, "first")).secret
    finally:
        await database.close()


def _write_secret(path: Path, secret: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{secret}\n")


if __name__ == "__main__":
    sys.exit(main())
