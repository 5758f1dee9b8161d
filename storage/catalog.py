"""The catalogue's files: the built-in one, and the operator's."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from schemas.catalog import Catalog, Model
from schemas.serving_rows import Pool
from storage.catalog_file import CatalogError, Entry, read_file
from storage.pools import address, merge_pools

__all__ = ["CatalogError", "Listing", "catalog_files", "load_catalog", "read_catalog"]

BUILTIN: Final = Path(__file__).with_name("builtin.yaml")


@dataclass(frozen=True)
class Listing:
    """The rows of all files and the pools that they are served on, with their places."""

    models: tuple[Entry[Model], ...]
    pools: Mapping[str, Entry[Pool]]


def catalog_files(setting: str) -> list[Path]:
    """The files that a setting names, separated as in PATH."""
    return [Path(name) for name in setting.split(os.pathsep) if name]


def load_catalog(files: Sequence[Path]) -> Catalog:
    """The built-in rows and those of `files`, in order. Raises CatalogError with every fault there is.

    Ids and aliases are unique over all files. A row with `replace: true` takes the place of an earlier one with its
    id, and a file with `builtin: false` leaves the built-in rows out.
    """
    return Catalog(entry.row for entry in read_catalog(files).models)


def read_catalog(files: Sequence[Path]) -> Listing:
    """The same rows with their places, and the pools. Raises CatalogError with every fault there is."""
    faults: list[str] = []
    own = [read_file(path, faults) for path in files]
    builtin = [read_file(BUILTIN, faults)] if all(file.keeps_builtin for file in own) else []
    rows = _merge([row for file in (*builtin, *own) for row in file.models], faults)
    pools = merge_pools([pool for file in own for pool in file.pools], faults)
    _check_names(rows, faults)
    _check_fallbacks(rows, faults)
    _check_elsewhere(rows, faults)
    rows = address(rows, pools, faults)
    if not rows and not faults:
        faults.append("The catalogue holds no models: give a file with rows, or leave the built-in ones in.")
    if faults:
        raise CatalogError(faults)
    return Listing(tuple(rows), pools)


def _merge(entries: Iterable[Entry[Model]], faults: list[str]) -> list[Entry[Model]]:
    kept: dict[str, Entry[Model]] = {}
    for entry in entries:
        row_id = entry.row.id
        earlier = kept.get(row_id)
        if entry.replaces and earlier is None:
            faults.append(f"{entry.where}: model '{row_id}': there is no earlier row that it could replace")
        elif earlier is not None and not entry.replaces:
            faults.append(
                f"{entry.where}: model '{row_id}': stands at {earlier.where} already; "
                "choose another id, or write 'replace: true' to replace that row"
            )
        kept[row_id] = entry
    return list(kept.values())


def _check_names(entries: Iterable[Entry[Model]], faults: list[str]) -> None:
    taken = {entry.row.id: entry for entry in entries}
    for entry in entries:
        for alias in entry.row.aliases:
            if other := taken.get(alias):
                faults.append(
                    f"{entry.where}: model '{entry.row.id}': the alias '{alias}' already names "
                    f"'{other.row.id}' at {other.where}"
                )
            taken[alias] = entry


def _check_fallbacks(entries: Sequence[Entry[Model]], faults: list[str]) -> None:
    """A fallback is a model of the catalogue, another than the row itself, and named once.

    Two rows may name each other: only the fallbacks of the model that was asked are asked, never theirs.
    """
    named = {name: entry.row.id for entry in entries for name in (entry.row.id, *entry.row.aliases)}
    for entry in entries:
        seen: set[str] = set()
        for name in entry.row.fallbacks:
            fault = f"{entry.where}: model '{entry.row.id}': the fallback '{name}' "
            found = named.get(name)
            if found is None:
                near = get_close_matches(name, named, n=1)
                faults.append(fault + "is no model here" + (f"; did you mean '{near[0]}'?" if near else ""))
            elif found == entry.row.id:
                faults.append(fault + "is the model itself")
            elif found in seen:
                faults.append(fault + "stands there twice")
            seen.add(found or name)


def _check_elsewhere(entries: Sequence[Entry[Model]], faults: list[str]) -> None:
    """Who answers in a model's name at an endpoint is a model of the catalogue that is served there."""
    named = {name: entry.row for entry in entries for name in (entry.row.id, *entry.row.aliases)}
    for entry in entries:
        for endpoint, name in entry.row.elsewhere.items():
            found = named.get(name)
            if found is None or endpoint not in found.endpoints:
                fault = "is no model here" if found is None else "is not served there"
                faults.append(f"{entry.where}: model '{entry.row.id}': elsewhere.{endpoint}: '{name}' {fault}")
