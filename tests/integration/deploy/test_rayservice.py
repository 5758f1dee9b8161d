"""What `penstock serve-models --kuberay` prints is what KubeRay takes, alone and out of the chart."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.integration.deploy.rendering import Resource, generated, of_kind, render
from tests.integration.deploy.schemas import faults

Break = Callable[[Resource], Any]


def services() -> list[Resource]:
    return list(yaml.safe_load_all(generated()))


def test_it_is_as_kuberays_own_schema_says() -> None:
    assert services()
    assert [fault for each in services() for fault in faults(each)] == []


BROKEN: list[tuple[str, Break]] = [
    ("the cluster's field", lambda it: it["spec"].update(rayClusterConfg={})),
    ("a group's field", lambda it: it["spec"]["rayClusterConfig"]["workerGroupSpecs"][0].update(minReplica=1)),
    ("no group's name", lambda it: it["spec"]["rayClusterConfig"]["workerGroupSpecs"][0].pop("groupName")),
    ("a way of authentication", lambda it: it["spec"]["rayClusterConfig"]["authOptions"].update(mode="tokens")),
    (
        "a container's field",
        lambda it: it["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0].update(im="x"),
    ),
    ("a version that is not served", lambda it: it.update(apiVersion="ray.io/v2")),
]


@pytest.mark.parametrize("spoil", [case[1] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_field_that_kuberay_does_not_know_is_found(spoil: Break) -> None:
    broken = deepcopy(services()[0])
    spoil(broken)
    assert faults(broken) != []


def test_the_chart_adds_its_labels_and_changes_nothing_else() -> None:
    rendered = of_kind(render("gpu"), "RayService")
    for each in rendered:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "penstock"
        each["metadata"]["labels"] = {"app.kubernetes.io/part-of": labels["app.kubernetes.io/part-of"]}
    assert rendered == services()


def test_only_who_asks_engines_comes_to_rays_pods() -> None:
    [policy] = [
        each["spec"]
        for each in of_kind(render("gpu"), "NetworkPolicy")
        if "ray.io/is-ray-node" in each["spec"]["podSelector"].get("matchLabels", {})
    ]
    among, operator, asking = policy["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": {"ray.io/is-ray-node": "yes"}}}]}
    [head] = [each["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"] for each in services()]
    ports = {port["name"]: port["containerPort"] for port in head["containers"][0]["ports"]}
    assert {each["port"] for each in operator["ports"]} == {ports["dashboard"], ports["serve"]}
    assert {each["port"] for each in asking["ports"]} == {ports["serve"], ports["metrics"], 8091}
    [who] = asking["from"]
    [named] = who["podSelector"]["matchExpressions"]
    assert set(named["values"]) == {"text-worker", "media-worker", "celery"}
