"""Renders the chart with Helm itself, which `make test-deploy` builds from its Go module."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

TOP: Final = Path(__file__).parents[3]
HELM: Final = TOP / ".tools" / "helm"
CHART: Final = TOP / "deploy" / "helm" / "penstock"
VALUES: Final = TOP / "deploy" / "helm" / "values"
GPU_CATALOG: Final = TOP / "deploy" / "catalog.gpu.yaml"
KUBERNETES: Final = "1.34"
"""The version that is rendered for, and whose schemas hold."""

Resource = dict[str, Any]


class Refused(Exception):
    """Helm's own words."""


def render(values: str, changes: Mapping[str, Any] | None = None, release: str = "penstock") -> list[Resource]:
    """Every resource, hooks among them, of a values file with `changes` on top. Raises Refused."""
    printed = _helm(["template", release], values, changes)
    return [document for document in yaml.safe_load_all(printed) if document]


def lint(values: str) -> str:
    return _helm(["lint", "--strict"], values, None)


def of_kind(resources: Iterable[Resource], *kinds: str) -> list[Resource]:
    return [each for each in resources if each["kind"] in kinds]


def component(resource: Resource) -> str:
    return str(resource["metadata"]["labels"]["app.kubernetes.io/component"])


def pods(resources: Iterable[Resource]) -> dict[str, Resource]:
    """The pods' specs, by component."""
    return {component(each): each["spec"]["template"]["spec"] for each in of_kind(resources, "Deployment", "Job")}


def containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Resource) -> dict[str, str | None]:
    """The variables; None stands for a value that comes from elsewhere."""
    return {each["name"]: each.get("value") for each in container["env"]}


@cache
def generated() -> str:
    """The RayServices of the example of a catalogue with pools, as an operator has them printed."""
    words = [sys.executable, "-m", "workers.ray_serve", "--kuberay", "--no-weights", "--catalog", str(GPU_CATALOG)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, cwd=TOP).stdout


def _helm(command: Sequence[str], values: str, changes: Mapping[str, Any] | None) -> str:
    words = [str(HELM), *command, str(CHART)]
    words += ["--kube-version", f"{KUBERNETES}.0", "--values", str(VALUES / f"{values}.yaml"), "--values", "-"]
    with TemporaryDirectory() as folder:
        if values == "gpu":
            manifest = Path(folder) / "rayservice.yaml"
            manifest.write_text(generated())
            if "catalog" not in (changes or {}):
                words += ["--set-file", f"catalog.files.gpu\\.yaml={GPU_CATALOG}"]
            words += ["--set-file", f"rayService.manifest={manifest}"]
        done = subprocess.run(
            words, input=json.dumps(changes or {}), capture_output=True, text=True, timeout=60, check=False
        )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout
