"""Who may do what: no root, no token, no secret in the open, and one door."""

import re
from typing import Any

import pytest

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

FILES = sorted(path.stem for path in VALUES.glob("*.yaml"))
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY(_ID)?$|DATABASE")
FILE_OF_A_KEY = {"PENSTOCK_KAFKA_KEY_FILE"}

NEEDS = {
    "ingress": {"kafka", "redis", "database", "objects", "internet"},
    "log-door": {"kafka", "redis", "database", "objects"},
    "batches": {"kafka", "redis", "database", "objects"},
    "text-worker": {"kafka", "redis", "objects", "engines", "internet"},
    "dispatcher": {"kafka", "redis", "database", "objects", "internet"},
    "celery": {"redis", "objects", "engines", "internet"},
    "streams": {"kafka", "database"},
    "migrate": {"kafka", "database"},
}
"""Whom each part speaks to, from docs/architecture.md."""

NARROW: dict[str, Any] = {
    "networkPolicy": {
        name: {"peers": [{"podSelector": {"matchLabels": {"app": name}}}], "ports": [number]}
        for number, name in enumerate(["kafka", "redis", "database", "objects", "engines"], 7001)
    }
    | {"internet": {"ports": [7000]}},
    "dispatcher": {"lanes": ["video.default"]},
}


@pytest.fixture(params=FILES)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return render(request.param)


def test_no_pod_has_more_rights_than_it_needs(resources: list[Resource]) -> None:
    assert pods(resources)
    for pod in pods(resources).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 1000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert {kind for volume in pod["volumes"] for kind in volume} <= {"name", "emptyDir", "configMap", "projected"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
            assert writable == ["tmp"]
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_pods_run_as_who_the_image_is_made_for(resources: list[Resource]) -> None:
    [user] = re.findall(r"^USER (\S+)$", (TOP / "Dockerfile").read_text(), re.MULTILINE)
    for pod in pods(resources).values():
        own = pod["securityContext"]
        assert f"{own['runAsUser']}:{own['runAsGroup']}" == user


def test_the_charts_own_account_has_no_token(resources: list[Resource]) -> None:
    [account] = of_kind(resources, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False


def test_no_secret_stands_in_the_open(resources: list[Resource]) -> None:
    assert of_kind(resources, "Secret") == []
    for name, pod in pods(resources).items():
        for container in containers(pod):
            for variable, value in environment(container).items():
                if SECRET.search(variable) and variable not in FILE_OF_A_KEY:
                    assert value is None, f"{name}: {variable}"
                assert "@" not in (value or "")


def test_a_part_is_given_the_secrets_of_whom_it_speaks_to_alone() -> None:
    changes = {"redis": {"url": "", "urlSecret": {"name": "redis-url"}}, "dispatcher": {"lanes": ["video.default"]}}
    of = {"PENSTOCK_REDIS": "redis", "PENSTOCK_DATABASE": "database", "AWS_SECRET_ACCESS_KEY": "objects"}
    for name, pod in pods(render("minimal", changes)).items():
        for container in containers(pod):
            given = {of[variable] for variable in environment(container) if variable in of}
            assert given == NEEDS[name] & set(of.values()), name


def test_who_asks_engines_is_given_their_secrets_alone() -> None:
    for name, pod in pods(render("production")).items():
        given = [source["secretRef"]["name"] for source in pod["containers"][0].get("envFrom", [])]
        assert given == (["provider-keys"] if name.endswith("-worker") or name == "celery" else [])


def test_nothing_is_let_in_or_out_but_by_name(resources: list[Resource]) -> None:
    denying = [each for each in of_kind(resources, "NetworkPolicy") if not {"ingress", "egress"} & each["spec"].keys()]
    [deny] = denying
    assert set(deny["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    for each in of_kind(resources, "Deployment", "Job"):
        assert selects(deny, each)


def test_only_the_ingress_is_reachable(resources: list[Resource]) -> None:
    for workload in of_kind(resources, "Deployment", "Job"):
        opened = {
            (port["port"], bool(rule.get("from")))
            for policy in of_kind(resources, "NetworkPolicy")
            if selects(policy, workload)
            for rule in policy["spec"].get("ingress", [])
            for port in rule["ports"]
        }
        # Whoever scrapes is named; without a name nobody may.
        expected = {("http", False), ("http", True)} if component(workload) == "ingress" else set()
        assert opened - {("metrics", True)} <= expected, component(workload)
        assert any(port == "http" for port, _ in opened) == (component(workload) == "ingress")


def test_each_part_reaches_whom_it_needs_and_nobody_else() -> None:
    resources = render("minimal", NARROW)
    ports = {7000: "internet", 7001: "kafka", 7002: "redis", 7003: "database", 7004: "objects", 7005: "engines"}
    for workload in of_kind(resources, "Deployment", "Job"):
        reached = {
            ports.get(port["port"], port["port"])
            for policy in of_kind(resources, "NetworkPolicy")
            if selects(policy, workload)
            for rule in policy["spec"].get("egress", [])
            for port in rule["ports"]
        }
        assert reached == NEEDS[component(workload)] | {53}, component(workload)


def test_the_internet_is_no_private_network() -> None:
    rules = [
        rule
        for policy in of_kind(render("minimal", NARROW), "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        if rule["ports"] == [{"protocol": "TCP", "port": 7000}]
    ]
    assert rules
    for rule in rules:
        [old, new] = [peer["ipBlock"] for peer in rule["to"]]
        assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"} <= set(old["except"])
        assert new == {"cidr": "2000::/3"}


def test_every_part_has_a_budget_and_is_spread(resources: list[Resource]) -> None:
    for workload in of_kind(resources, "Deployment"):
        [budget] = [
            each for each in of_kind(resources, "PodDisruptionBudget") if component(each) == component(workload)
        ]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= labels.items()
        assert wanted == workload["spec"]["selector"]["matchLabels"]
        spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_who_scales_a_part_says_how_many_there_are() -> None:
    resources = render("production")
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]: each
        for each in of_kind(resources, "ScaledObject", "HorizontalPodAutoscaler")
    }
    assert len(scaled) == 3
    for workload in of_kind(resources, "Deployment"):
        assert ("replicas" in workload["spec"]) == (workload["metadata"]["name"] not in scaled)
    assert scaled.keys() <= {workload["metadata"]["name"] for workload in of_kind(resources, "Deployment")}


def selects(policy: Resource, workload: Resource) -> bool:
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    return bool(wanted.items() <= workload["spec"]["template"]["metadata"]["labels"].items())
