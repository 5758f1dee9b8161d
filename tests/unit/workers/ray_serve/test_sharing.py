from pathlib import Path

import pytest

from tests.unit.workers.ray_serve.catalogs import plan_of
from workers.ray_serve.sharing import disagreements

POOLS = """\
pools:
  - name: h100
    accelerator: H100
    accelerators_per_node: 8
    clusters: [{url: "http://ray:8000", dashboard: "http://ray:8265"}]
  - name: l4
    accelerator: L4
    accelerators_per_node: 8
    clusters: [{url: "http://ray:8000", dashboard: "http://ray:8265"}]
"""


def test_pools_may_be_one_cluster(tmp_path: Path) -> None:
    assert disagreements(plan_of(tmp_path, "", pools=POOLS)) == []


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        (POOLS + "    direct_streaming: true\n", "direct_streaming"),
        (POOLS + "    token_env: OTHER_TOKEN\n", "token_env"),
        (POOLS.replace("8265", "8266", 1), "clusters.dashboard"),
    ],
)
def test_they_say_the_same_of_it(tmp_path: Path, pools: str, name: str) -> None:
    (fault,) = disagreements(plan_of(tmp_path, "", pools=pools))
    line = 10 if "." not in name else 9
    assert fault.replace(f"{tmp_path}/", "") == (
        f"rows.yaml:{line}: pool 'l4': {name} is its whole cluster's, "
        "and pool 'h100' at rows.yaml:2 says otherwise of http://ray:8000/"
    )
