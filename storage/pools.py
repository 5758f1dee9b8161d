"""Rows that we serve ourselves get their addresses from the pool that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import AnyHttpUrl

from schemas.catalog import Model
from schemas.serving_rows import Pool, ServingRow
from storage.catalog_file import Entry, guess


def merge_pools(pools: Sequence[Entry[Pool]], faults: list[str]) -> dict[str, Entry[Pool]]:
    """Pools by name, which is unique over all files."""
    named: dict[str, Entry[Pool]] = {}
    for entry in pools:
        if earlier := named.get(entry.row.name):
            faults.append(f"{entry.where}: pool '{entry.row.name}': stands at {earlier.where} already")
        named.setdefault(entry.row.name, entry)
    return named


def address(models: Sequence[Entry[Model]], pools: Mapping[str, Entry[Pool]], faults: list[str]) -> list[Entry[Model]]:
    """The models, each with the address of its route on every cluster of its pool unless it names its own."""
    routes: dict[str, Entry[Model]] = {}
    addressed = []
    for entry in models:
        row = entry.row
        if row.serving is None:
            addressed.append(entry)
            continue
        if earlier := routes.get(row.slug):
            faults.append(
                f"{entry.where}: model '{row.id}': its route /{row.slug} is that of '{earlier.row.id}' at "
                f"{earlier.where}; choose another id"
            )
        routes.setdefault(row.slug, entry)
        pool = pools.get(row.serving.pool)
        if pool is None:
            hint = guess(row.serving.pool, pools) if pools else "; there is none"
            faults.append(
                f"{entry.where.at('serving', 'pool')}: model '{row.id}': unknown pool '{row.serving.pool}'{hint}"
            )
            continue
        if "count_tokens" in row.abilities and not pool.row.direct_streaming:
            faults.append(
                f"{entry.where.at('abilities')}: model '{row.id}': abilities: 'count_tokens' needs a pool with "
                "direct_streaming: Ray's ingress does not reach vLLM's count"
            )
        addressed.append(replace(entry, row=row.model_copy(update=_addresses(row, row.serving, pool.row))))
    return addressed


def _addresses(row: Model, serving: ServingRow, pool: Pool) -> dict[str, Any]:
    if row.base_url is not None:
        return {}
    first, *others = (AnyHttpUrl(f"{str(url).rstrip('/')}/{row.slug}/v1") for url in pool.urls)
    return {"base_url": first, "replicas": tuple(others), "metrics": row.metrics or pool.metrics}
