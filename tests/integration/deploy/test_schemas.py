"""Every resource that the chart makes is one that Kubernetes, KEDA, KubeRay, Prometheus and Gateway API know."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.integration.deploy.rendering import VALUES, Resource, lint, of_kind, render
from tests.integration.deploy.schemas import faults, kafka_trigger

Break = Callable[[Resource], Any]

FILES = sorted(path.stem for path in VALUES.glob("*.yaml"))
ROUTE = {"expose": {"httpRoute": {"enabled": True, "host": "m.example", "gateway": {"name": "outer"}}}}
CERTIFICATE = {"kafka": {"security": "ssl", "clientCertificate": {"secret": "kafka-client"}}}
OWN_MAP = {"catalog": {"files": None, "configMap": {"name": "rows", "keys": ["b.yaml", "a.yaml"]}}}
BARE = {
    "networkPolicy": {"enabled": False},
    "disruption": {"enabled": False},
    "spread": {"enabled": False},
    "serviceAccount": {"create": False},
    "logDoor": {"enabled": False},
    "batches": {"enabled": False},
}


@pytest.mark.parametrize("values", FILES)
def test_helm_finds_nothing_to_complain_of(values: str) -> None:
    assert "0 chart(s) failed" in lint(values)


@pytest.mark.parametrize("values", FILES)
@pytest.mark.parametrize(
    "changes", [{}, ROUTE, CERTIFICATE, OWN_MAP, BARE], ids=["as it is", "route", "cert", "map", "bare"]
)
def test_each_resource_is_as_its_schema_says(values: str, changes: dict[str, Any]) -> None:
    wrong = [
        f"{each['kind']} {each['metadata']['name']} {fault}"
        for each in render(values, changes)
        for fault in faults(each)
    ]
    assert wrong == []


@pytest.mark.parametrize("values", FILES)
def test_no_two_resources_have_one_name(values: str) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in render(values)]
    assert len(names) == len(set(names))


def test_keda_is_told_secrets_by_names_that_its_scaler_knows() -> None:
    [authentication] = of_kind(render("production", CERTIFICATE), "TriggerAuthentication")
    given = {each["parameter"] for each in authentication["spec"]["secretTargetRef"]}
    assert given == {"cert", "key", "ca"}
    [authentication] = of_kind(render("production"), "TriggerAuthentication")
    given = {each["parameter"] for each in authentication["spec"]["secretTargetRef"]}
    assert given == {"username", "password", "ca"}
    assert {
        name
        for name in (*given, "cert", "key")
        if not kafka_trigger()[name].get("triggerAuthenticationVariableReadable")
    } == set()


BROKEN: list[tuple[str, Break]] = [
    ("Deployment", lambda it: it["spec"].update(replcas=2)),
    ("Deployment", lambda it: it["spec"]["template"]["spec"]["containers"][0].update(redinessProbe={})),
    ("Deployment", lambda it: it["spec"]["template"]["spec"]["containers"][0]["securityContext"].update(readOnly=True)),
    ("Deployment", lambda it: it["spec"]["template"]["spec"].update(terminationGracePeriodSeconds="ten")),
    ("Job", lambda it: it["spec"].update(backofLimit=1)),
    ("Service", lambda it: it["spec"]["ports"][0].update(targetport=1)),
    (
        "HorizontalPodAutoscaler",
        lambda it: it["spec"].update(metrics=[{"type": "Resource", "resource": {"nam": "cpu"}}]),
    ),
    ("PodDisruptionBudget", lambda it: it["spec"].update(maxUnavaillable=1)),
    ("NetworkPolicy", lambda it: it["spec"].update(podSelectors={})),
    ("Ingress", lambda it: it["spec"]["rules"][0]["http"]["paths"][0].pop("pathType")),
    ("ConfigMap", lambda it: it.update(datas={})),
    ("ServiceAccount", lambda it: it.update(automountServiceAccountTokens=False)),
    ("ScaledObject", lambda it: it["spec"].update(minReplicaCuont=1)),
    (
        "ScaledObject",
        lambda it: it["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"].update(scaledown={}),
    ),
    ("ScaledObject", lambda it: it["spec"]["fallback"].update(behavior="panic")),
    ("ScaledObject", lambda it: it["spec"]["triggers"][0]["metadata"].update(lagTreshold="5")),
    ("ScaledObject", lambda it: it["spec"]["triggers"][0]["metadata"].update(sasl="scram")),
    ("ScaledObject", lambda it: it["spec"]["triggers"][0]["metadata"].pop("consumerGroup")),
    ("TriggerAuthentication", lambda it: it["spec"]["secretTargetRef"][0].pop("key")),
    ("TriggerAuthentication", lambda it: it["spec"].update(secretTargetRefs=[])),
    ("PodMonitor", lambda it: it["spec"]["podMetricsEndpoints"][0].update(intervall="1s")),
    ("PodMonitor", lambda it: it["spec"]["podMetricsEndpoints"][0].update(interval="often")),
    ("HTTPRoute", lambda it: it["spec"]["rules"][0]["timeouts"].update(requests="0s")),
]


@pytest.mark.parametrize(("kind", "spoil"), BROKEN, ids=[f"{kind} {n}" for n, (kind, _) in enumerate(BROKEN)])
def test_a_field_that_nobody_knows_is_found(kind: str, spoil: Break) -> None:
    whole = of_kind(render("production", ROUTE), kind)[0]
    assert faults(whole) == []
    broken = deepcopy(whole)
    spoil(broken)
    assert faults(broken) != []
