"""What compose.yaml says to be somewhere is there, and who may reach it."""

import base64
import json
import re
from ipaddress import IPv4Address, IPv4Network
from urllib.parse import urlsplit

import pytest
import yaml

from tests.architecture.deployed import (
    DOCUMENT,
    GIVEN,
    PARTS,
    SERVICES,
    STAYING,
    WRITTEN,
    module,
)
from tests.integration.cluster.compose_file import ROOT

PLACES = {"kafka-1:9092", "kafka-2:9092", "kafka-3:9092", "valkey:6379", "postgres:5432", "seaweedfs:8333"}
"""Where stores answer: each server's own port, unless its command or its environment says another."""


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_part_is_told_where_the_stores_are(part: str) -> None:
    told = PARTS[part].environment
    addresses = {
        *told["PENSTOCK_KAFKA"].split(","),
        *(
            urlsplit(told[f"PENSTOCK_{name}"]).netloc.rpartition("@")[2]
            for name in ("REDIS", "DATABASE", "S3_ENDPOINT")
        ),
    }
    assert addresses == PLACES
    assert urlsplit(told["PENSTOCK_OBJECTS"]).scheme == "s3"
    assert told["PENSTOCK_CATALOG"] in PARTS[part].mounts
    for password, store in (("VALKEY_PASSWORD", "REDIS"), ("POSTGRES_PASSWORD", "DATABASE")):
        assert urlsplit(told[f"PENSTOCK_{store}"]).password == GIVEN[password]


def test_the_stores_answer_there() -> None:
    for number in (1, 2, 3):
        told = SERVICES[f"kafka-{number}"].environment
        assert told["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://kafka-{number}:9092"
        assert told["KAFKA_LISTENERS"].startswith("PLAINTEXT://:9092,")
        assert told["KAFKA_NODE_ID"] == str(number)
        assert f"kafka-{number}:{told['KAFKA_LOG_DIRS']}" in WRITTEN[f"kafka-{number}"]["volumes"]
    assert "-s3.port=8333" in SERVICES["seaweedfs"].command
    assert SERVICES["postgres"].environment["POSTGRES_DB"] == "penstock"


def test_kafka_keeps_what_it_acknowledged_when_one_of_three_is_lost() -> None:
    told = SERVICES["kafka-1"].environment
    assert len(base64.urlsafe_b64decode(told["CLUSTER_ID"] + "==")) == 16
    assert told["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093"
    copies = {name: value for name, value in told.items() if name.endswith("REPLICATION_FACTOR")}
    assert sorted(copies.values()) == ["3"] * 4
    in_sync = {name: value for name, value in told.items() if name.endswith(("MIN_ISR", "MIN_INSYNC_REPLICAS"))}
    assert sorted(in_sync.values()) == ["2"] * 3
    assert PARTS["migrate"].environment["PENSTOCK_TOPICS_REPLICATION"] == "3"


def test_only_the_proxy_and_grafana_can_be_reached_from_outside() -> None:
    published = {name: each["ports"] for name, each in WRITTEN.items() if "ports" in each}
    assert published == {
        "proxy": ["${PUBLISH:-127.0.0.1:8080}:8080"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }
    assert SERVICES["proxy"].environment["PROXY_PORT"] == "8080"
    for name, each in WRITTEN.items():
        assert list(each["networks"]) == ["penstock"], name
        assert not {"privileged", "network_mode", "pid"} & each.keys(), name


def test_the_ingress_believes_the_proxy_alone() -> None:
    proxy = WRITTEN["proxy"]["networks"]["penstock"]["ipv4_address"]
    subnet = DOCUMENT["networks"]["penstock"]["ipam"]["config"][0]["subnet"]
    at, within = (re.sub(r"\$\{\w+:-(.*)\}", r"\1", text) for text in (proxy, subnet))
    assert IPv4Address(at) in IPv4Network(within)
    for name in ("ingress-1", "ingress-2"):
        assert json.loads(PARTS[name].environment["PENSTOCK_TRUSTED_PROXIES"]) == [f"{at}/32"]


def test_the_proxy_leads_to_every_ingress() -> None:
    told = SERVICES["proxy"].environment
    doors = {name for name, each in STAYING.items() if module(each) == "ingress"}
    assert {told["INGRESS_1"], told["INGRESS_2"]} == {
        f"{name}:{PARTS[name].environment['PENSTOCK_PORT']}" for name in doors
    }
    assert told["OBJECTS"] in PLACES
    assert f"s3://{told['BUCKET']}" == PARTS["ingress-1"].environment["PENSTOCK_OBJECTS"]


def test_prometheus_asks_every_part() -> None:
    told = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = {
        job["job_name"]: [target for config in job.get("static_configs", ()) for target in config["targets"]]
        for job in told["scrape_configs"]
    }
    assert sorted(targets["penstock"]) == sorted(f"{name}:9100" for name in STAYING)
    assert targets["proxy"] == [f"proxy:{SERVICES['proxy'].environment['METRICS_PORT']}"]
    (port,) = (word.partition("=")[2] for word in SERVICES["seaweedfs"].command if word.startswith("-metricsPort="))
    assert targets["seaweedfs"] == [f"seaweedfs:{port}"]
    assert set(told["rule_files"]) <= SERVICES["prometheus"].mounts.keys()
