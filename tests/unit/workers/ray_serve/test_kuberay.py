from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.workers.ray_serve.catalogs import plan_of
from workers.ray_serve.application import serve_config
from workers.ray_serve.documents import documents
from workers.ray_serve.kuberay import Kubernetes, ray_service

KUBERNETES = Kubernetes(image="ray:1", ray_version="2.60.0", token_secret="token", hub_secret="hub")
POD = """\
pod: {cpu: "96", memory: 900Gi, shared_memory: 64Gi, node_selector: {kind: h100}, volume_claim: weights,
          tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]}"""


def service(folder: Path, *rows: str, pool: str = "", accelerator: str = "H100") -> dict[str, Any]:
    """As it is read again from what is printed."""
    pools = (
        f"pools:\n  - name: h100\n    accelerator: {accelerator}\n    accelerators_per_node: 8\n"
        f"    clusters: [{{url: 'http://ray:80'}}]\n    {pool}\n"
    )
    (cluster,) = plan_of(folder, *rows, pools=pools).clusters()
    return dict(yaml.safe_load(documents([ray_service(cluster, KUBERNETES)])))


def worker(found: dict[str, Any]) -> dict[str, Any]:
    (group,) = found["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return dict(group)


def test_the_cluster_wants_a_token(tmp_path: Path) -> None:
    cluster = service(tmp_path, "")["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "token"}


def test_it_deploys_what_is_deployed_without_kubernetes(tmp_path: Path) -> None:
    told = service(tmp_path, "tensor_parallel: 2", "")["spec"]["serveConfigV2"]
    (cluster,) = plan_of(tmp_path, "tensor_parallel: 2", "").clusters()
    config = yaml.safe_load(told)
    assert config["applications"] == serve_config(cluster)["applications"]
    assert config["http_options"] == {"host": "0.0.0.0", "port": 8000}
    assert not {"&", "*"} & set(told), "KubeRay shows the text to people"


def test_a_pool_is_a_group_of_nodes_with_all_their_gpus(tmp_path: Path) -> None:
    group = worker(service(tmp_path, "", pool=f"nodes: 2\n    {POD}"))
    assert (group["groupName"], group["replicas"], group["rayStartParams"]) == ("h100", 2, {"num-gpus": "8"})
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"cpu": "96", "memory": "900Gi", "nvidia.com/gpu": 8}
    assert pod["nodeSelector"] == {"kind": "h100"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in container["volumeMounts"]}
    assert pod["volumes"][1]["persistentVolumeClaim"] == {"claimName": "weights"}


@pytest.mark.parametrize(
    ("accelerator", "resource"),
    [("H100", "nvidia.com/gpu"), ("AMD-Instinct-MI300X-OAM", "amd.com/gpu"), ("cpu", None)],
)
def test_the_gpus_are_those_of_the_pool(tmp_path: Path, accelerator: str, resource: str | None) -> None:
    (container,) = worker(service(tmp_path, "", accelerator=accelerator))["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert [name for name in limits if "/" in name] == ([] if resource is None else [resource])


def test_the_size_of_an_a100_is_said(tmp_path: Path) -> None:
    group = worker(service(tmp_path, "", accelerator="A100-80G"))
    assert group["rayStartParams"]["resources"] == "'{\"accelerator_type:A100-80G\": 1}'"


def test_with_direct_streaming_an_adapter_is_read_from_the_body(tmp_path: Path) -> None:
    name = "RAY_SERVE_INGRESS_REQUEST_ROUTER_FORWARD_BODY"
    for row, wanted in (("lora: {path: 's3://b/a'}", True), ("", False)):
        group = worker(service(tmp_path, row, pool="direct_streaming: true"))
        (container,) = group["template"]["spec"]["containers"]
        assert (name in {each["name"] for each in container["env"]}) is wanted


def test_direct_streaming_is_the_whole_clusters(tmp_path: Path) -> None:
    cluster = service(tmp_path, "", pool="direct_streaming: true")["spec"]["rayClusterConfig"]
    for pod in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = pod["template"]["spec"]["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        assert (told["RAY_SERVE_ENABLE_HA_PROXY"], told["RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"]) == ("1", "1")
