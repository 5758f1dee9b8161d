"""The commands that read and change what a stack keeps: `python -m penstock.administer keys list`."""

import logging
import sys
from dataclasses import replace
from typing import Annotated, Final

import typer

from penstock import keys, webhooks
from penstock.limits import limits
from penstock.models import models
from penstock.options import DEFAULT_DATA
from penstock.target import Data, Database, find_target
from penstock.topics import TopicSettings, make_all
from penstock.usage import usage
from schemas.errors import PenstockError
from storage import migrate as migrations
from storage.catalog import CatalogError
from storage.settings import StorageSettings
from storage.settings_help import variables

TOPIC_VARIABLES: Final = "\b\nEnvironment variables, with their defaults:\n" + "\n".join(
    f"  {variable.name}\n      {variable.description}  [{variable.default}]" for variable in variables(TopicSettings)
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.command()(limits)
app.command()(models)
app.command()(usage)


@app.command(epilog=TOPIC_VARIABLES)
def topics(
    *,
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT of Kafka, where no data folder leads to it.")] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make all topics that the catalogue needs, and set what those that are there should have."""
    target = find_target(data)
    settings = StorageSettings()
    cluster = replace(settings.cluster, bootstrap=kafka or target.kafka or settings.kafka)
    for line in make_all(cluster, target.catalog, TopicSettings()) or ["all topics are as they should be"]:
        print(line)


@app.command()
def migrate(*, data: Data = DEFAULT_DATA, database: Database = None) -> None:
    """Bring the database to the newest schema."""
    target = find_target(data, database=database)
    migrations.migrate(target.database)
    print("the database has the newest schema")


def main() -> None:
    # What Kafka's client complains of comes back as an error too, and that is told once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app(prog_name="penstock")
    except (CatalogError, PenstockError) as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
