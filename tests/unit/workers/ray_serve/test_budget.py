from pathlib import Path

import pytest

from tests.unit.workers.ray_serve.catalogs import plan_of
from workers.ray_serve.budget import Budget, budgets, faults, notes
from workers.ray_serve.table import show


def said(folder: Path, *rows: str, pool: str = "") -> list[str]:
    return [fault.replace(f"{folder}/", "") for fault in faults(plan_of(folder, *rows, pool=pool))]


@pytest.mark.parametrize(
    ("rows", "pool"),
    [
        (["tensor_parallel: 8"], ""),
        (["tensor_parallel: 4", "tensor_parallel: 2", "replicas: {min: 2}"], ""),
        (["replicas: {min: 1, max: 8}", "replicas: {min: 1, max: 8}"], ""),
        (["tensor_parallel: 8, replicas: {min: 0, max: 1}", "tensor_parallel: 8"], ""),
        (["tensor_parallel: 8, pipeline_parallel: 2"], "nodes: 2"),
        (["tensor_parallel: 4, replicas: {surge: true}"], ""),
        (["tensor_parallel: 6", "tensor_parallel: 6", "tensor_parallel: 2"], "nodes: 2"),
    ],
)
def test_what_fits_at_the_same_time_is_possible(tmp_path: Path, rows: list[str], pool: str) -> None:
    assert said(tmp_path, *rows, pool=pool) == []


@pytest.mark.parametrize(
    ("rows", "pool", "wanted"),
    [
        (
            ["tensor_parallel: 16"],
            "nodes: 2",
            [
                "rows.yaml:13: model 'm0': tensor_parallel 16 is more than the 8 H100 of a node of pool 'h100'; "
                "pipeline_parallel goes over several nodes"
            ],
        ),
        (
            ["tensor_parallel: 8, pipeline_parallel: 2"],
            "",
            [
                "rows.yaml:13: model 'm0': a replica needs 16 H100 (tensor_parallel 8 x pipeline_parallel 2), "
                "and pool 'h100' has 8"
            ],
        ),
        (
            ["tensor_parallel: 4, replicas: {min: 1, max: 3}"],
            "",
            ["rows.yaml:13: model 'm0': 3 replicas of 4 H100 do not fit on pool 'h100', which has 8"],
        ),
        (
            ["tensor_parallel: 4", "tensor_parallel: 4", "replicas: {min: 1}"],
            "",
            [
                "rows.yaml:2: pool 'h100': its models need 9 H100 at the same time (m0 1 x 4, m1 1 x 4, m2 1 x 1), "
                "and it has 8"
            ],
        ),
        (
            ["tensor_parallel: 5", "tensor_parallel: 5", "tensor_parallel: 5"],
            "nodes: 2",
            [
                "rows.yaml:2: pool 'h100': its models need 15 H100 at the same time (m0 1 x 5, m1 1 x 5, m2 1 x 5), "
                "and it has 2 x 8: enough in all, and not where they are needed together"
            ],
        ),
        (
            ["tensor_parallel: 4, replicas: {surge: true}", "tensor_parallel: 2"],
            "",
            [
                "rows.yaml:13: model 'm0': surge needs room for one replica more, and pool 'h100' has none beside its "
                "models' smallest numbers: an update would wait for ever"
            ],
        ),
        (
            ["tensor_parallel: 16", "tensor_parallel: 8, replicas: {min: 2}"],
            "",
            [
                "rows.yaml:13: model 'm0': tensor_parallel 16 is more than the 8 H100 of a node of pool 'h100'; "
                "pipeline_parallel goes over several nodes",
                "rows.yaml:18: model 'm1': 2 replicas of 8 H100 do not fit on pool 'h100', which has 8",
            ],
        ),
    ],
)
def test_a_plan_that_asks_for_too_much_is_refused_by_its_line(
    tmp_path: Path, rows: list[str], pool: str, wanted: list[str]
) -> None:
    assert said(tmp_path, *rows, pool=pool) == wanted


def test_the_budget_counts_the_least_and_the_most(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "tensor_parallel: 2, replicas: {min: 1, max: 3}", "replicas: {min: 2, max: 4}")
    (budget,) = budgets(plan)
    assert budget == Budget(plan.pools[0].row, least=4, most=10)
    assert budget.left == 4
    assert notes(plan) == [
        "pool 'h100': its models may grow to 10 H100 and it has 8: whoever grows first has them",
        "model 'm0': has one replica on one cluster: nothing serves it while an update loads a new one; "
        "replicas.surge starts that one before",
    ]


def test_the_plan_is_shown_as_a_table(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "tensor_parallel: 4, tool_parser: hermes, replicas: {min: 1, max: 2}")
    assert show(plan).splitlines() == [
        "model  pool  accelerators            replicas  context  tools   reasoning  lora  route",
        "m0     h100  4 x H100 (tp 4 x pp 1)  1 to 2    4096     hermes  -          -     /m0/v1",
        "",
        "pool  has         clusters  needed  left  at most",
        "h100  1 x 8 H100  1         4       4     8",
    ]
