"""What is to run where: an application of Ray Serve for each row that we serve, on the clusters of its pool."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.catalog import Model
from schemas.serving_rows import Cluster, Pool, ServingRow
from storage.catalog import Listing
from storage.catalog_file import Entry, Place


@dataclass(frozen=True)
class Application:
    """One row, as it is served on each cluster of its pool. `where` is the row's place in its file."""

    model: Model
    serving: ServingRow
    pool: Pool
    where: Place

    @property
    def name(self) -> str:
        return self.model.slug

    @property
    def route(self) -> str:
        return f"/{self.model.slug}"

    @property
    def on_one_node(self) -> bool:
        """A replica that a node can hold is not spread over several."""
        return self.serving.accelerators <= self.pool.accelerators_per_node

    def groups(self) -> list[int]:
        """Accelerators that must be on one node, for each such group of a replica."""
        if self.on_one_node:
            return [self.serving.accelerators]
        return [self.serving.tensor_parallel] * self.serving.pipeline_parallel


@dataclass(frozen=True)
class ClusterPlan:
    """All that one Ray cluster runs; pools of several kinds of accelerator may be one cluster."""

    cluster: Cluster
    pools: tuple[Pool, ...]
    applications: tuple[Application, ...]


@dataclass(frozen=True)
class Plan:
    """`pools` are those of the catalogue, those that nothing runs on among them, in its order."""

    pools: tuple[Entry[Pool], ...]
    applications: tuple[Application, ...]

    def on(self, *pools: Pool) -> tuple[Application, ...]:
        names = {pool.name for pool in pools}
        return tuple(each for each in self.applications if each.pool.name in names)

    def clusters(self) -> list[ClusterPlan]:
        """Each cluster once, known by its URL."""
        sharing: dict[str, tuple[Cluster, list[Pool]]] = {}
        for entry in self.pools:
            for cluster in entry.row.clusters:
                sharing.setdefault(str(cluster.url), (cluster, []))[1].append(entry.row)
        return [ClusterPlan(cluster, tuple(pools), self.on(*pools)) for cluster, pools in sharing.values()]


def make_plan(listing: Listing) -> Plan:
    return Plan(tuple(listing.pools.values()), tuple(_applications(listing)))


def _applications(listing: Listing) -> Iterable[Application]:
    for entry in listing.models:
        if entry.row.serving is not None:
            pool = listing.pools[entry.row.serving.pool].row
            yield Application(entry.row, entry.row.serving, pool, entry.where)
