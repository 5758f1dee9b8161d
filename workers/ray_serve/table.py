"""The plan, for a person to read."""

from collections.abc import Sequence
from typing import Final

from workers.ray_serve.budget import Budget, budgets
from workers.ray_serve.plan import Application, Plan

APPLICATIONS: Final = ("model", "pool", "accelerators", "replicas", "context", "tools", "reasoning", "lora", "route")
POOLS: Final = ("pool", "has", "clusters", "needed", "left", "at most")


def show(plan: Plan) -> str:
    """One table of the applications, and one of what they take of the pools."""
    if not plan.applications:
        return "the catalogue has no model that is served by Ray Serve"
    return "\n\n".join(
        (
            _table(APPLICATIONS, [_application(each) for each in plan.applications]),
            _table(POOLS, [_pool(each) for each in budgets(plan)]),
        )
    )


def _application(app: Application) -> Sequence[str]:
    serving, replicas = app.serving, app.serving.replicas
    parts = f" (tp {serving.tensor_parallel} x pp {serving.pipeline_parallel})" if serving.accelerators > 1 else ""
    return (
        app.model.id,
        app.pool.name,
        f"{serving.accelerators} x {app.pool.accelerator}{parts}",
        str(replicas.min) if replicas.min == replicas.most else f"{replicas.min} to {replicas.most}",
        str(app.model.fitting_tokens),
        serving.tool_parser or "-",
        serving.reasoning_parser or "-",
        "-" if serving.lora is None else f"rank {serving.lora.max_rank}",
        f"{app.route}/v1",
    )


def _pool(budget: Budget) -> Sequence[str]:
    pool = budget.pool
    return (
        pool.name,
        f"{pool.nodes} x {pool.accelerators_per_node} {pool.accelerator}",
        str(len(pool.clusters)),
        str(budget.least),
        str(budget.left),
        str(budget.most),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (titles, *rows)
    )
