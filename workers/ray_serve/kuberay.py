"""A plan as KubeRay's RayService, of KubeRay 1.6: applied with kubectl, it makes the cluster and deploys to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.serving_rows import Pool
from workers.ray_serve.application import serve_config
from workers.ray_serve.documents import document
from workers.ray_serve.plan import ClusterPlan

Environment = list[dict[str, Any]]
"""As it stands in a container."""

SERVE_PORT: Final = 8000
METRICS_PORT: Final = 8080
"""Where KubeRay has a node of Ray tell its metrics."""
HEAD: Final = {"cpu": "2", "memory": "8Gi"}
SPLIT: Final = ("A100-40G", "A100-80G")
"""Which of its sizes an A100 has, Ray does not find out by itself."""


@dataclass(frozen=True)
class Kubernetes:
    """What only the operator knows. `token_secret` has the key auth_token, `hub_secret` the key token."""

    image: str
    ray_version: str
    token_secret: str
    hub_secret: str


def ray_service(plan: ClusterPlan, kubernetes: Kubernetes) -> dict[str, Any]:
    """A cluster with the pools as its groups of nodes. Its head runs no model."""
    config = serve_config(plan)
    config["http_options"] = {"host": "0.0.0.0", "port": SERVE_PORT}
    environment = _environment(plan, kubernetes)
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": service_name(plan.pools), "labels": {"app.kubernetes.io/part-of": "penstock"}},
        "spec": {
            "serveConfigV2": document(config),
            "excludeHeadPodFromServeSvc": True,
            "upgradeStrategy": {"type": "NewCluster"},
            "rayClusterConfig": {
                "rayVersion": kubernetes.ray_version,
                "authOptions": {"mode": "token", "secretName": kubernetes.token_secret},
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},
                    "template": {"spec": _head(kubernetes, environment)},
                },
                "workerGroupSpecs": [_group(pool, kubernetes, environment) for pool in plan.pools],
            },
        },
    }


def service_name(pools: Sequence[Pool]) -> str:
    return "-".join(["ray", *(pool.name for pool in pools)])


def _head(kubernetes: Kubernetes, environment: Environment) -> dict[str, Any]:
    ports = [("gcs", 6379), ("dashboard", 8265), ("client", 10001), ("serve", SERVE_PORT), ("metrics", METRICS_PORT)]
    container = _container("ray-head", ports, kubernetes, HEAD, environment)
    return {"containers": [container], "securityContext": _security()}


def _group(pool: Pool, kubernetes: Kubernetes, environment: Environment) -> dict[str, Any]:
    resources: dict[str, Any] = {"cpu": pool.pod.cpu, "memory": pool.pod.memory}
    start: dict[str, str] = {}
    if pool.on_cpu:
        resources["cpu"] = start["num-cpus"] = str(pool.accelerators_per_node)
    else:
        resources[_resource(pool)] = pool.accelerators_per_node
        start["num-gpus"] = str(pool.accelerators_per_node)
    if pool.accelerator in SPLIT:
        start["resources"] = f"'{{\"accelerator_type:{pool.accelerator}\": 1}}'"
    container = _container("ray-worker", [("metrics", METRICS_PORT)], kubernetes, resources, environment)
    container["volumeMounts"] = [{"name": "shared-memory", "mountPath": "/dev/shm"}]
    volumes: list[dict[str, Any]] = [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": pool.pod.shared_memory}}
    ]
    if pool.pod.volume_claim is not None:
        container["volumeMounts"].append({"name": "weights", "mountPath": pool.pod.volume_path})
        container["env"].append({"name": "HF_HOME", "value": f"{pool.pod.volume_path.rstrip('/')}/hub"})
        volumes.append({"name": "weights", "persistentVolumeClaim": {"claimName": pool.pod.volume_claim}})
    pod: dict[str, Any] = {"containers": [container], "volumes": volumes, "securityContext": _security()}
    if pool.pod.node_selector:
        pod["nodeSelector"] = dict(pool.pod.node_selector)
    if pool.pod.tolerations:
        pod["tolerations"] = [each.model_dump(exclude_none=True) for each in pool.pod.tolerations]
    return {
        "groupName": pool.name,
        "replicas": pool.nodes,
        "minReplicas": pool.nodes,
        "maxReplicas": pool.nodes,
        "rayStartParams": start,
        "template": {"spec": pod},
    }


def _resource(pool: Pool) -> str:
    return "amd.com/gpu" if pool.accelerator.startswith("AMD-") else "nvidia.com/gpu"


def _security() -> dict[str, Any]:
    return {"seccompProfile": {"type": "RuntimeDefault"}}


def _container(
    name: str,
    ports: Sequence[tuple[str, int]],
    kubernetes: Kubernetes,
    resources: Mapping[str, Any],
    environment: Environment,
) -> dict[str, Any]:
    return {
        "name": name,
        "image": kubernetes.image,
        "ports": [{"name": called, "containerPort": port} for called, port in ports],
        "env": list(environment),
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _environment(plan: ClusterPlan, kubernetes: Kubernetes) -> Environment:
    said = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "VLLM_NO_USAGE_STATS": "1",
        # The gate reads what vLLM counts from Ray's nodes, which would tell it every ten seconds.
        "RAY_metrics_report_interval_ms": "1000",
    }
    if any(pool.direct_streaming for pool in plan.pools):
        said |= {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1"}
        if any(app.serving.lora is not None for app in plan.applications):
            # Which adapter is asked for stands in the body.
            said["RAY_SERVE_INGRESS_REQUEST_ROUTER_FORWARD_BODY"] = "1"
    hub = {"secretKeyRef": {"name": kubernetes.hub_secret, "key": "token", "optional": True}}
    return [*({"name": name, "value": value} for name, value in said.items()), {"name": "HF_TOKEN", "valueFrom": hub}]
