"""Whether pools that are one cluster say the same of it."""

from collections.abc import Callable, Iterable
from typing import Final

from schemas.serving_rows import Cluster, Pool
from storage.catalog_file import Entry
from workers.ray_serve.plan import Plan

OF_CLUSTER: Final[dict[str, Callable[[Pool, Cluster], object]]] = {
    "direct_streaming": lambda pool, _: pool.direct_streaming,
    "token_env": lambda pool, _: pool.token_env,
    "clusters.dashboard": lambda _, cluster: cluster.dashboard,
    "clusters.port": lambda _, cluster: cluster.port,
}
"""What is true of a cluster and not of a pool in it."""


def disagreements(plan: Plan) -> list[str]:
    """A line for each pool that says something else of a cluster than the first pool with the same URL."""
    first: dict[str, tuple[Entry[Pool], Cluster]] = {}
    found: list[str] = []
    for entry in plan.pools:
        for cluster in entry.row.clusters:
            earlier = first.setdefault(str(cluster.url), (entry, cluster))
            found += _differences(entry, cluster, *earlier)
    return found


def _differences(entry: Entry[Pool], cluster: Cluster, earlier: Entry[Pool], its: Cluster) -> Iterable[str]:
    for name, value in OF_CLUSTER.items():
        if value(entry.row, cluster) != value(earlier.row, its):
            yield (
                f"{entry.where.at(name.split('.')[0])}: pool '{entry.row.name}': {name} is its whole cluster's, "
                f"and pool '{earlier.row.name}' at {earlier.where} says otherwise of {cluster.url}"
            )
