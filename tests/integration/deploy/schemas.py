"""Holds a resource to its schema, as strictly as Kubernetes: a field that nobody knows is a fault."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing import Resource as Resource_

from tests.integration.deploy.modules import module_file
from tests.integration.deploy.rendering import KUBERNETES, Resource

STRICT: Final = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
KEDA: Final = "github.com/kedacore/keda/v2"
DEFINITIONS: Final = {
    "ScaledObject": (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "TriggerAuthentication": (KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    "RayService": ("github.com/ray-project/kuberay/ray-operator", "config/crd/bases/ray.io_rayservices.yaml"),
    "PodMonitor": (
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ),
    "HTTPRoute": ("sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
}
"""Where the kinds that are not Kubernetes' own are defined."""


def faults(resource: Resource) -> list[str]:
    """What its API server would refuse it for, or drop in silence."""
    kind, api_version = resource["kind"], resource["apiVersion"]
    validator = _custom(kind, api_version) if kind in DEFINITIONS else _kubernetes(kind, api_version)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]
    return found + list(_trigger_faults(resource) if kind == "ScaledObject" else ())


@cache
def kafka_trigger() -> dict[str, dict[str, Any]]:
    """What KEDA's Kafka scaler reads, by name."""
    document = json.loads(module_file(KEDA, "schema/generated/scalers-schema.json").read_text())
    scaler = next(each for each in document["scalers"] if each["type"] == "kafka")
    return {each["name"]: each for each in scaler["parameters"]}


def _trigger_faults(resource: Resource) -> Iterator[str]:
    """A trigger's metadata are any strings to the API server, so KEDA's own list of them is asked."""
    known = kafka_trigger()
    for trigger in resource["spec"]["triggers"]:
        if trigger["type"] != "kafka":
            yield f"trigger {trigger['type']}: is none of ours"
        for name, value in trigger["metadata"].items():
            row = known.get(name, {})
            allowed = row.get("allowedValue")
            if not row.get("metadataVariableReadable"):
                yield f"trigger kafka: KEDA reads no {name} there"
            elif allowed and value not in allowed:
                yield f"trigger kafka: {name} is one of {allowed}, not {value}"
        yield from (
            f"trigger kafka: needs {row['name']}"
            for row in known.values()
            if not row.get("optional") and "default" not in row and row["name"] not in trigger["metadata"]
        )


@cache
def _kubernetes(kind: str, api_version: str) -> Draft202012Validator:
    """As kubernetes-validate has it, strictly, where no field is free; it would read all of them for each resource."""
    group, _, version = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], version)))
    return Draft202012Validator(json.loads((STRICT / f"{name}.json").read_text()), registry=_registry())


@cache
def _registry() -> Registry[Any]:
    return Resource_.from_contents(json.loads((STRICT / "_definitions.json").read_text())) @ Registry()


@cache
def _custom(kind: str, api_version: str) -> Draft202012Validator:
    definition = yaml.load(module_file(*DEFINITIONS[kind]).read_text(), Loader=yaml.CSafeLoader)
    group, _, name = api_version.partition("/")
    versions = {each["name"]: each for each in definition["spec"]["versions"] if each["served"]}
    if definition["spec"]["group"] != group or name not in versions:
        return Draft202012Validator({"properties": {"apiVersion": False}})
    schema: dict[str, Any] = _closed(versions[name]["schema"]["openAPIV3Schema"])
    # Kubernetes checks the metadata itself; a definition only says that there are some.
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return Draft202012Validator(schema)


def _closed(node: Any) -> Any:
    """The schema with every field refused that the API server would drop."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items() if key not in ("properties", "default", "enum")}
    closed |= {key: node[key] for key in ("default", "enum") if key in node}
    if isinstance(node.get("properties"), dict):
        closed["properties"] = {name: _closed(value) for name, value in node["properties"].items()}
    if node.get("x-kubernetes-int-or-string"):
        closed["type"] = ["integer", "string"]
    elif node.get("type") == "object":
        open_to_all = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
        if not open_to_all:
            closed["additionalProperties"] = False
    if node.get("nullable") and isinstance(closed.get("type"), str):
        closed["type"] = [closed["type"], "null"]
    return closed
