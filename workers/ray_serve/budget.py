"""Whether a plan is possible: how many accelerators it needs, and whether the pools' nodes have them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.serving_rows import Pool
from workers.ray_serve.plan import Application, Plan


@dataclass(frozen=True)
class Budget:
    """Of one cluster of the pool. `most` may be more than there is: models that grow share what is left."""

    pool: Pool
    least: int
    most: int

    @property
    def left(self) -> int:
        """What the smallest numbers of replicas leave."""
        return self.pool.accelerators - self.least


def budgets(plan: Plan) -> list[Budget]:
    return [
        Budget(
            entry.row,
            least=sum(each.serving.accelerators * each.serving.replicas.min for each in plan.on(entry.row)),
            most=sum(each.serving.accelerators * each.serving.replicas.most for each in plan.on(entry.row)),
        )
        for entry in plan.pools
    ]


def faults(plan: Plan) -> list[str]:
    """Why the plan is impossible, with file and line; what is wrong with one row comes before what is with a pool."""
    found = [fault for each in plan.applications for fault in _faults_of(each)]
    impossible = {each.name for each in plan.applications if any(_faults_of(each))}
    for entry in plan.pools:
        applications = plan.on(entry.row)
        # Of a pool with an impossible row nothing more can be said.
        if any(each.name in impossible for each in applications):
            continue
        if crowded := list(_crowded(entry.row, applications)):
            found += [f"{entry.where}: pool '{entry.row.name}': {why}" for why in crowded]
            continue
        found += [
            _no_surge(each) for each in applications if each.serving.replicas.surge and not _may_surge(each, plan)
        ]
    return found


def notes(plan: Plan) -> list[str]:
    """What is possible, and yet not what everybody expects."""
    found = [
        f"pool '{each.pool.name}': its models may grow to {each.most} {each.pool.accelerator} and it has "
        f"{each.pool.accelerators}: whoever grows first has them"
        for each in budgets(plan)
        if each.most > each.pool.accelerators
    ]
    found += [
        f"model '{each.model.id}': has one replica on one cluster: nothing serves it while an update loads a new one"
        + ("; replicas.surge starts that one before" if _may_surge(each, plan) else "")
        for each in plan.applications
        if each.serving.replicas.min == 1 and len(each.pool.clusters) == 1 and not each.serving.replicas.surge
    ]
    found += [f"pool '{entry.row.name}': nothing runs on it" for entry in plan.pools if not plan.on(entry.row)]
    return found


def _faults_of(app: Application) -> Iterable[str]:
    serving, pool, name = app.serving, app.pool, f"model '{app.model.id}'"
    kind, needs = pool.accelerator, serving.accelerators
    if serving.tensor_parallel > pool.accelerators_per_node:
        yield (
            f"{app.where.at('serving', 'tensor_parallel')}: {name}: tensor_parallel {serving.tensor_parallel} is more "
            f"than the {pool.accelerators_per_node} {kind} of a node of pool '{pool.name}'; "
            "pipeline_parallel goes over several nodes"
        )
    elif not _fits(pool, app.groups()):
        yield (
            f"{app.where.at('serving', 'pipeline_parallel')}: {name}: a replica needs {needs} {kind} "
            f"(tensor_parallel {serving.tensor_parallel} x pipeline_parallel {serving.pipeline_parallel}), "
            f"and pool '{pool.name}' has {_nodes(pool)}"
        )
    elif not _fits(pool, app.groups() * serving.replicas.most):
        bound = "max" if serving.replicas.max is not None else "min"
        yield (
            f"{app.where.at('serving', 'replicas', bound)}: {name}: {serving.replicas.most} replicas of {needs} {kind} "
            f"do not fit on pool '{pool.name}', which has {_nodes(pool)}"
        )


def _may_surge(app: Application, plan: Plan) -> bool:
    """Whether the pool has room for one replica more beside the smallest numbers of all."""
    groups = [size for each in plan.on(app.pool) for size in each.groups() * each.serving.replicas.min]
    return _fits(app.pool, groups + app.groups())


def _no_surge(app: Application) -> str:
    where = app.where.at("serving", "replicas", "surge")
    return (
        f"{where}: model '{app.model.id}': surge needs room for one replica more, "
        f"and pool '{app.pool.name}' has none beside its models' smallest numbers: an update would wait for ever"
    )


def _crowded(pool: Pool, applications: Sequence[Application]) -> Iterable[str]:
    """Why the smallest numbers of replicas cannot all run at the same time."""
    groups = [size for each in applications for size in each.groups() * each.serving.replicas.min]
    if _fits(pool, groups):
        return
    parts = ", ".join(
        f"{each.model.id} {each.serving.replicas.min} x {each.serving.accelerators}"
        for each in applications
        if each.serving.replicas.min
    )
    why = "" if sum(groups) > pool.accelerators else ": enough in all, and not where they are needed together"
    yield f"its models need {sum(groups)} {pool.accelerator} at the same time ({parts}), and it has {_nodes(pool)}{why}"


def _nodes(pool: Pool) -> str:
    return f"{pool.nodes} x {pool.accelerators_per_node}" if pool.nodes > 1 else str(pool.accelerators)


def _fits(pool: Pool, groups: Iterable[int]) -> bool:
    """Largest first, each on the fullest node with room: exact where sizes divide each other, as 1, 2, 4 and 8 do."""
    free = [pool.accelerators_per_node] * pool.nodes
    for size in sorted(groups, reverse=True):
        rooms = [(room, node) for node, room in enumerate(free) if room >= size]
        if not rooms:
            return False
        room, node = min(rooms)
        free[node] = room - size
    return True
