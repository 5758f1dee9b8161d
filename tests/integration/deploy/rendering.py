"""Renders the chart with Helm itself, which `make test-deploy` builds from its Go module."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

TOP: Final = Path(__file__).parents[3]
HELM: Final = TOP / ".tools" / "helm"
CHART: Final = TOP / "deploy" / "helm" / "penstock"
VALUES: Final = TOP / "deploy" / "helm" / "values"
KUBERNETES: Final = "1.34"
"""The version that is rendered for, and whose schemas hold."""

Resource = dict[str, Any]


class Refused(Exception):
    """Helm's own words."""


def render(
    values: str, changes: Mapping[str, Any] | None = None, *, files: Mapping[str, Path] | None = None
) -> list[Resource]:
    """Every resource, hooks among them, of a values file with `changes` on top. Raises Refused."""
    printed = _helm("template", values, changes, files)
    return [document for document in yaml.safe_load_all(printed) if document]


def lint(values: str) -> str:
    return _helm("lint", values, None, None)


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


def _helm(command: str, values: str, changes: Mapping[str, Any] | None, files: Mapping[str, Path] | None) -> str:
    words = [str(HELM), command, *(["penstock"] if command == "template" else ["--strict"]), str(CHART)]
    words += ["--kube-version", f"{KUBERNETES}.0", "--values", str(VALUES / f"{values}.yaml"), "--values", "-"]
    for name, path in (files or {}).items():
        words += ["--set-file", f"{name}={path}"]
    done = subprocess.run(
        words, input=json.dumps(changes or {}), capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout
