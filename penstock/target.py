"""Which stack a command is about: where its database, its Redis and its catalogue are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from penstock.options import DEFAULT_DATA, embedded_database
from penstock.run_file import read_run
from storage.settings import StorageSettings

Data = Annotated[Path, typer.Option("--data", help="Data folder of the stack that is meant.")]
Database = Annotated[str | None, typer.Option("--database", help="Database URL, where no data folder leads to it.")]
Redis = Annotated[str | None, typer.Option("--redis", help="Redis URL, where no data folder leads to it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]


@dataclass(frozen=True)
class Target:
    """`redis` and `kafka` are None where neither an address is given nor a stack runs: nobody is there to be told."""

    database: str
    redis: str | None
    kafka: str | None
    catalog: str


def find_target(data: Path = DEFAULT_DATA, *, database: str | None = None, redis: str | None = None) -> Target:
    """What is given comes first, then the parts' environment variables, then the stack that runs in `data`."""
    settings = StorageSettings()
    given = {name: str(getattr(settings, name)) for name in settings.model_fields_set}
    run = read_run(data)
    return Target(
        database=database or given.get("database") or (run.database if run else embedded_database(data)),
        redis=redis or given.get("redis") or (run.redis if run else None),
        kafka=given.get("kafka") or (run.kafka if run else None),
        catalog=given.get("catalog") or (run.catalog if run else ""),
    )
