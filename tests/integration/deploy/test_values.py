"""Values that cannot work are refused with a line that says so, before anything reaches a cluster."""

from typing import Any

import pytest

from tests.integration.deploy.rendering import Refused, containers, environment, of_kind, pods, render

WORKER = {"lanes": ["text.default"]}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a misspelt value", {"ingres": {"replicas": 3}}, "ingres"),
    ("a misspelt value of a part", {"ingress": {"replica": 3}}, "replica"),
    ("a misspelt value of a worker", {"workers": {"text-worker": {**WORKER, "drain": 3}}}, "drain"),
    ("no image", {"image": {"repository": ""}}, "image.repository"),
    ("no Kafka", {"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers"),
    ("Kafka without a port", {"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
    ("SASL without a name", {"kafka": {"security": "sasl_ssl"}}, "kafka.credentials.secret"),
    ("no Redis", {"redis": {"url": ""}}, "redis: give url"),
    ("a password in the open", {"redis": {"url": "redis://:secret@valkey:6379/0"}}, "url"),
    ("two Redis", {"redis": {"urlSecret": {"name": "redis"}}}, "not both"),
    ("no database", {"database": {"urlSecret": {"name": ""}}}, "database.urlSecret.name"),
    ("a folder for objects", {"objects": {"url": "/var/objects"}}, "url"),
    ("no public URL", {"publicUrl": ""}, "publicUrl"),
    ("no catalogue", {"catalog": {"files": None}}, "catalog: give files"),
    ("two catalogues", {"catalog": {"configMap": {"name": "rows", "keys": ["a.yaml"]}}}, "not both"),
    ("no workers", {"workers": {"text-worker": None}}, "workers"),
    ("a worker without lanes", {"workers": {"text-worker": {"lanes": []}}}, "lanes"),
    ("a lane without a modality", {"workers": {"text-worker": {"lanes": ["default"]}}}, "lanes"),
    ("a worker named as a part is", {"workers": {"streams": WORKER}}, "workers.streams: another part"),
    ("none to begin with", {"workers": {"text-worker": {**WORKER, "autoscaling": {"minReplicas": 0}}}}, "minReplicas"),
    (
        "more workers than partitions",
        {"workers": {"text-worker": {**WORKER, "replicas": 13}}},
        "workers.text-worker.replicas",
    ),
    (
        "more scaled workers than partitions",
        {"workers": {"text-worker": {**WORKER, "autoscaling": {"enabled": True, "maxReplicas": 13}}}},
        "workers.text-worker.autoscaling.maxReplicas",
    ),
    ("a variable that a value sets", {"ingress": {"env": {"PENSTOCK_DRAIN_S": "1"}}}, "PENSTOCK_DRAIN_S is set by"),
    ("a secret's variable", {"streams": {"env": {"PENSTOCK_DATABASE": "x"}}}, "PENSTOCK_DATABASE is set by"),
    ("no network", {"ingress": {"trustedProxies": ["proxy"]}}, "trustedProxies"),
    ("a digest that is none", {"image": {"digest": "latest"}}, "digest"),
    (
        "something else than a RayService",
        {"rayService": {"manifest": "kind: Secret\napiVersion: v1\n"}},
        "rayService.manifest",
    ),
    ("no YAML", {"rayService": {"manifest": "a: [b"}}, "rayService.manifest: is not valid YAML"),
]


@pytest.mark.parametrize(("changes", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_it_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        render("minimal", changes)
    assert said in str(refused.value)


def test_a_value_of_one_pool_changes_no_other() -> None:
    changes = {
        "workers": {
            "second": {"lanes": ["text.large"], "slots": 7, "resources": {"requests": {"cpu": "3", "memory": "1Gi"}}}
        }
    }
    all_pods = pods(render("minimal", changes))
    [first], [second] = (containers(all_pods[name]) for name in ("text-worker", "second"))
    assert (environment(first)["PENSTOCK_SLOTS"], environment(second)["PENSTOCK_SLOTS"]) == ("128", "7")
    assert (first["resources"]["requests"]["cpu"], second["resources"]["requests"]["cpu"]) == ("1", "3")


def test_a_changed_row_starts_pods_anew_and_another_value_does_not() -> None:
    def sums(changes: dict[str, Any]) -> set[str]:
        deployments = of_kind(render("minimal", changes), "Deployment")
        return {each["spec"]["template"]["metadata"]["annotations"]["checksum/catalog"] for each in deployments}

    row = "models: [{id: other, engine: storyboard}]"
    assert sums({}) == sums({"disruption": {"maxUnavailable": 2}})
    assert len(sums({})) == 1
    assert sums({}).isdisjoint(sums({"catalog": {"files": {"models.yaml": row}}}))


def test_files_are_read_in_the_order_of_their_names() -> None:
    files = {"b.yaml": "models: []\n", "a.yaml": "models: []\n"}
    pod = pods(render("minimal", {"catalog": {"files": {**files, "models.yaml": None}}}))["streams"]
    read = environment(containers(pod)[0])["PENSTOCK_CATALOG"]
    assert read == "/etc/penstock/catalog/a.yaml:/etc/penstock/catalog/b.yaml"


def test_names_stay_within_what_kubernetes_takes() -> None:
    """Of the longest release that Helm installs, and the longest pool that the values take."""
    changes = {"workers": {"w" * 20: {"lanes": ["text.large"], "autoscaling": {"enabled": True}}}}
    for each in render("minimal", changes, release="r" * 53):
        assert len(each["metadata"]["name"]) <= 63
