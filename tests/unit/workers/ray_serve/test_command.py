"""The command as a process of its own, as `penstock` starts it."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.unit.workers.ray_serve.catalogs import write

EXAMPLE = Path(__file__).parents[4] / "deploy" / "catalog.gpu.yaml"


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", "serve-models", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_example_is_a_plan_that_is_possible() -> None:
    done = run("--check", "--catalog", EXAMPLE)
    assert (done.returncode, done.stdout.split()[0]) == (0, "model")


def test_the_example_is_a_config_and_a_ray_service() -> None:
    config = yaml.safe_load(run("--config", "--catalog", EXAMPLE).stdout)
    service = yaml.safe_load(run("--kuberay", "--catalog", EXAMPLE).stdout)
    assert yaml.safe_load(service["spec"]["serveConfigV2"])["applications"] == config["applications"]


def test_an_impossible_plan_ends_with_every_fault(tmp_path: Path) -> None:
    file = write(tmp_path, ["tensor_parallel: 16", "replicas: {min: 9}", "weights: /none/such"])
    file.write_text(file.read_text().replace("weights: org/m2, ", ""))
    done = run("--check", "--catalog", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split("'")[1] for line in done.stderr.splitlines()] == ["m0", "m1", "m2"]


def test_another_cluster_than_the_pools_name_is_refused() -> None:
    done = run("--config", "--cluster", "http://other:8000", "--catalog", EXAMPLE)
    assert (done.returncode, done.stderr) == (
        1,
        "--cluster http://other:8000: the pools' clusters are http://ray:8000.\n",
    )
