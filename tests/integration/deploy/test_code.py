"""What the chart says of the programs is what the programs are: commands, variables, ports, groups, times."""

import pkgutil
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pydantic_settings import BaseSettings

import ingress.routes
from ingress import metrics
from penstock.topics import TopicSettings
from schemas.topics import USAGE, batch_lane, lane_topic, platform_topics
from storage.catalog import load_catalog
from storage.local.ports import free_port
from storage.observe.exposition import exposed
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import variables
from streams.app import STOP_S
from tests.architecture.configuration_page import SECTIONS
from tests.integration.deploy.rendering import (
    TOP,
    VALUES,
    Resource,
    component,
    containers,
    environment,
    of_kind,
    pods,
    render,
)
from workers.__main__ import Worker
from workers.jobs_worker import OPEN_S
from workers.long.queue import TASK_S
from workers.settings import WorkerSettings

FILES = sorted(path.stem for path in VALUES.glob("*.yaml"))
FROM_BOTO3 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


@pytest.fixture(params=FILES)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return render(request.param)


@cache
def help_of(module: str, *arguments: str) -> str:
    """What `python -m MODULE ARGUMENTS --help` prints, without a process for each: they load the same."""
    spec = find_spec(module)
    assert spec is not None, f"there is no {module}"
    program = import_module(f"{module}.__main__" if spec.submodule_search_locations else module)
    assert 'if __name__ == "__main__":' in Path(str(program.__file__)).read_text()
    printed = StringIO()
    asked = patch.object(sys, "argv", [module, *arguments, "--help"])
    with asked, redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code in (None, 0)
    return printed.getvalue()


def words(container: Resource) -> tuple[str, ...]:
    """The module and its arguments."""
    python, as_module, *rest = container["command"]
    assert (python, as_module) == ("python", "-m")
    return tuple(rest)


def lanes(container: Resource) -> list[str]:
    command = container["command"]
    return [lane for word, lane in pairwise(command) if word == "--lane"]


def programs(resources: list[Resource]) -> Iterator[tuple[str, Resource, Resource]]:
    for name, pod in pods(resources).items():
        for container in containers(pod):
            yield name, pod, container


def catalog_of(resources: list[Resource], tmp_path: Path) -> Any:
    [rows] = [
        each
        for each in of_kind(resources, "ConfigMap")
        if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]
    files = []
    for name, text in rows["data"].items():
        (tmp_path / name).write_text(text)
        files.append(tmp_path / name)
    return load_catalog(files)


def test_each_command_is_a_program_that_takes_its_options(resources: list[Resource]) -> None:
    for _, _, container in programs(resources):
        command = words(container)
        text = help_of(*command)
        assert [word for word in command if word.startswith("--") and word not in text] == []


def test_each_variable_is_one_that_its_program_reads(resources: list[Resource]) -> None:
    beside = {each.name for kind in (StorageSettings, ObserveSettings, TopicSettings) for each in variables(kind)}
    for name, _, container in programs(resources):
        text = help_of(*words(container))
        for variable in environment(container).keys() - FROM_BOTO3:
            read = variable in beside if name == "migrate" else f"  {variable}\n" in text
            assert read, f"{name} reads no {variable}"


def test_each_variables_value_can_be_read(resources: list[Resource], monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[type[BaseSettings]] = [TopicSettings, *(kind for _, kind in SECTIONS)]
    for _, _, container in programs(resources):
        with monkeypatch.context() as patched:
            for name, value in environment(container).items():
                patched.setenv(name, "from-elsewhere" if value is None else value)
            for kind in kinds:
                kind()


def test_ingress_and_workers_hold_requests_to_one_bound() -> None:
    told = {
        name: environment(container).get("PENSTOCK_MAX_QUEUE_WAIT_S")
        for name, _, container in programs(render("production", {"maxQueueWaitS": 7}))
    }
    assert {name for name, bound in told.items() if bound == "7"} == {
        *("ingress", "log-door", "batches"),
        *("text-worker", "large-worker", "media-worker"),
    }
    assert set(told.values()) == {"7", None}


def test_a_release_changes_the_database_before_the_topics_and_both_before_the_parts(resources: list[Resource]) -> None:
    [job] = of_kind(resources, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    [first, then] = containers(pods([job])["migrate"])
    assert (words(first)[-1], words(then)[-1]) == ("migrate", "topics")
    read = environment(then)
    assert int(read["PENSTOCK_TOPICS_REPLICATION"] or 0) == 3


def test_each_probe_asks_where_the_program_answers(resources: list[Resource]) -> None:
    port = free_port()
    own_routes = {route.path for route in import_module("ingress.routes.health").router.routes}
    with exposed(ObserveSettings(metrics_host="127.0.0.1", metrics_port=port), lambda: True):
        for name, _, container in programs(resources):
            if name == "migrate":
                continue
            ports = {each["name"]: each["containerPort"] for each in container["ports"]}
            read = environment(container)
            assert ports["metrics"] == int(read["PENSTOCK_METRICS_PORT"] or 0)
            assert read["PENSTOCK_METRICS_HOST"] == "0.0.0.0"
            assert ("http" in ports) == (name == "ingress")
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[kind]["httpGet"]
                if asked["port"] == "http":
                    assert asked["path"] in own_routes
                    assert ports["http"] == int(read["PENSTOCK_PORT"] or 0)
                    assert read["PENSTOCK_HOST"] == "0.0.0.0"
                else:
                    assert asked["port"] == "metrics"
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{asked['path']}", timeout=5) as answer:
                        assert answer.status == 200


def test_each_pod_has_more_time_to_end_than_its_program_takes(resources: list[Resource]) -> None:
    at_least = {"celery": TASK_S + OPEN_S - 1, "streams": STOP_S, "dispatcher": 0.0, "migrate": 0.0}
    for name, pod, container in programs(resources):
        told = environment(container).get("PENSTOCK_DRAIN_S")
        drain_s = at_least[name] if told is None else float(told)
        sleeps = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] > sleeps + drain_s, name
        assert (sleeps > 0) == (name == "ingress")


def test_no_stream_is_cut_by_a_pod_that_goes(resources: list[Resource], tmp_path: Path) -> None:
    """A job has ended by its deadline, so whoever runs it or relays it drains for as long."""
    catalog, all_pods = catalog_of(resources, tmp_path), pods(resources)
    for name, pod in all_pods.items():
        [container] = pod["containers"]
        served = [
            row for row in catalog if row.lane in lanes(container) or (name == "ingress" and row.modality == "text")
        ]
        served = [row for row in served if name != "dispatcher"]
        assert bool(served) == (name == "ingress" or name.endswith("-worker"))
        for row in served:
            assert float(environment(container)["PENSTOCK_DRAIN_S"] or 0) >= row.deadline_s


def test_each_lane_of_the_catalogue_is_served_once(resources: list[Resource], tmp_path: Path) -> None:
    served = [lane for _, _, container in programs(resources) for lane in lanes(container)]
    assert sorted(served) == sorted(catalog_of(resources, tmp_path).lanes())


def test_the_catalogue_is_read_from_where_it_is_mounted(resources: list[Resource], tmp_path: Path) -> None:
    catalog_of(resources, tmp_path)
    for name, pod, container in programs(resources):
        named = [Path(file) for file in (environment(container)["PENSTOCK_CATALOG"] or "").split(":")]
        mounts = {Path(each["mountPath"]): each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        for file in named:
            source = volumes[mounts[file.parent]]["configMap"]["name"]
            [rows] = [each for each in of_kind(resources, "ConfigMap") if each["metadata"]["name"] == source]
            assert file.name in rows["data"]
            # A hook runs before what is no hook is there.
            assert ("helm.sh/hook" in rows["metadata"].get("annotations", {})) == (name == "migrate")


def test_workers_are_scaled_by_the_groups_and_topics_they_take_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.__main__.LaneConsumer", lambda _kafka, topic, group, _name, **_: (topic, group))
    worker = Worker(StorageSettings(), WorkerSettings(), ObserveSettings())
    resources = render("production")
    scaled = {component(each): each for each in of_kind(resources, "ScaledObject")}
    assert scaled.keys() == {"text-worker", "large-worker"}
    for name, each in scaled.items():
        asked = [
            (trigger["metadata"]["topic"], trigger["metadata"]["consumerGroup"]) for trigger in each["spec"]["triggers"]
        ]
        [lane] = lanes(pods(resources)[name]["containers"][0])
        taken = [lane, batch_lane(lane)] if name == "text-worker" else [lane]
        consumers: list[object] = [worker._consumer(each_lane) for each_lane in taken if each_lane]
        assert asked == consumers


@pytest.mark.parametrize("modality", ["text", "embedding", "image", "speech"])
def test_a_lane_has_a_batch_lane_to_scale_by_where_the_code_has_one(modality: str) -> None:
    lane = f"{modality}.default"
    changes = {
        "workers": {"text-worker": {"lanes": [lane], "autoscaling": {"enabled": True, "batchLagThreshold": 500}}}
    }
    [scaled] = of_kind(render("minimal", changes), "ScaledObject")
    topics = {
        trigger["metadata"]["topic"]: trigger["metadata"]["lagThreshold"] for trigger in scaled["spec"]["triggers"]
    }
    batch = batch_lane(lane)
    assert topics == {lane_topic(lane): "96"} | ({lane_topic(batch): "500"} if batch else {})


def test_usage_has_as_many_partitions_as_streams_may_have_pods() -> None:
    [usage] = [spec for spec in platform_topics([], lane_partitions=1) if spec.name == USAGE]
    render("minimal", {"streams": {"replicas": usage.partitions}})
    with pytest.raises(Exception, match=r"streams\.replicas"):
        render("minimal", {"streams": {"replicas": usage.partitions + 1}})


def test_what_the_ingress_is_scaled_by_is_what_it_counts() -> None:
    [scaler] = of_kind(render("production"), "HorizontalPodAutoscaler")
    [pods_metric] = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
    assert pods_metric in {family.name for family in metrics.IN_FLIGHT.collect()}


def test_the_public_reaches_every_route_but_those_of_operators() -> None:
    [ingress_resource] = of_kind(render("production"), "Ingress")
    routed = {path["path"]: path["pathType"] for path in ingress_resource["spec"]["rules"][0]["http"]["paths"]}
    assert [at for at, kind in routed.items() if kind == "Exact"] == ["/"]
    prefixes = routed.keys() - {"/"}
    modules = [import_module(f"ingress.routes.{each.name}") for each in pkgutil.iter_modules(ingress.routes.__path__)]
    paths = {route.path for module in modules for route in module.router.routes}
    hidden = {path for path in paths - {"/"} if not any(path == at or path.startswith(f"{at}/") for at in prefixes)}
    assert hidden == {"/healthz", "/readyz", "/metrics"}
    assert len(paths) > 40


def test_scraped_pods_are_called_what_the_alerts_call_them() -> None:
    resources = render("production")
    [monitor] = of_kind(resources, "PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    [rule] = endpoint["relabelings"]
    alerts = (TOP / "deploy" / "prometheus" / "alerts.yml").read_text()
    [job] = set(re.findall(r'job="([^"]+)"', alerts))
    ingresses = set(re.findall(r'instance=~"([^"]+)"', alerts))
    for workload in of_kind(resources, "Deployment"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert labels[monitor["spec"]["jobLabel"]] == job
        pod = f"{workload['metadata']['name']}-6d4cf56db6-x2k9q"
        found = re.fullmatch(rule["regex"], rule["separator"].join([component(workload), pod]))
        assert found is not None
        instance = found.expand(rule["replacement"].replace("$", "\\"))
        assert instance == f"{component(workload)}-x2k9q"
        assert any(re.fullmatch(each, instance) for each in ingresses) == (component(workload) == "ingress")
