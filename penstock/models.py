"""`penstock models`: the catalogue as the door sees it."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from penstock.options import DEFAULT_DATA
from penstock.table import table
from penstock.target import AsJson, Data, find_target
from storage.catalog import catalog_files, load_catalog


def models(
    *,
    catalog: Annotated[list[Path] | None, typer.Option(help="Catalogue file to check; may be repeated.")] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show every row of the catalogue; a wrong one is shown with file, line and reason."""
    setting = os.pathsep.join(map(str, catalog)) if catalog else find_target(data).catalog
    rows = list(load_catalog(catalog_files(setting)))
    if as_json:
        found = [row.model_dump(mode="json", exclude_none=True) for row in rows]
        print(msgspec.json.encode({"object": "list", "data": found}).decode())
        return
    titles = ("id", "modality", "engine", "lane", "context", "max output", "input $/M", "output $/M", "other $")
    print(
        table(
            titles,
            [
                (
                    row.id,
                    row.modality,
                    row.engine,
                    row.lane,
                    row.fitting_tokens or None,
                    row.max_output_tokens or None,
                    row.price.input_usd_per_mtok,
                    row.price.output_usd_per_mtok,
                    row.price.beside_tokens or None,
                )
                for row in rows
            ],
        )
    )
