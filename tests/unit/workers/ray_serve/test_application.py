from pathlib import Path
from typing import Any

import pytest

from tests.unit.workers.ray_serve.catalogs import plan_of
from workers.ray_serve.application import serve_config
from workers.ray_serve.plan import Plan

CPU_POOL = """\
pools:
  - name: h100
    accelerator: cpu
    accelerators_per_node: 4
    clusters: [{url: "http://127.0.0.1:8123"}]
"""


def only(plan: Plan) -> dict[str, Any]:
    (cluster,) = plan.clusters()
    (application,) = serve_config(cluster)["applications"]
    return dict(application)


def llm(plan: Plan) -> dict[str, Any]:
    return dict(only(plan)["args"]["llm_configs"][0])


def test_a_row_is_an_application_with_its_route(tmp_path: Path) -> None:
    application = only(plan_of(tmp_path, "tensor_parallel: 2"))
    assert (application["name"], application["route_prefix"]) == ("m0", "/m0")
    assert application["import_path"] == "ray.serve.llm:build_openai_app"


def test_what_vllm_is_told(tmp_path: Path) -> None:
    serving = (
        "tensor_parallel: 4, quantization: fp8, revision: abc, tool_parser: hermes, reasoning_parser: qwen3, "
        "max_running: 64, engine_kwargs: {kv_cache_dtype: fp8}"
    )
    config = llm(plan_of(tmp_path, serving))
    assert config["model_loading_config"] == {"model_id": "m0", "model_source": "org/m0"}
    assert config["accelerator_type"] == "H100"
    assert config["engine_kwargs"] == {
        "max_model_len": 4096,
        "tensor_parallel_size": 4,
        "pipeline_parallel_size": 1,
        "dtype": "auto",
        "max_num_seqs": 64,
        "quantization": "fp8",
        "revision": "abc",
        "tokenizer_revision": "abc",
        "enable_prompt_tokens_details": True,
        "enable_auto_tool_choice": True,
        "tool_call_parser": "hermes",
        "reasoning_parser": "qwen3",
        "kv_cache_dtype": "fp8",
    }


def test_no_token_waits_for_others_in_ray(tmp_path: Path) -> None:
    assert llm(plan_of(tmp_path, ""))["experimental_configs"] == {"stream_batching_interval_ms": 0}


@pytest.mark.parametrize(
    ("serving", "strategy"),
    [("tensor_parallel: 4, pipeline_parallel: 2", "STRICT_PACK"), ("tensor_parallel: 8, pipeline_parallel: 2", "PACK")],
)
def test_a_replica_is_on_one_node_where_that_can_hold_it(tmp_path: Path, serving: str, strategy: str) -> None:
    placed = llm(plan_of(tmp_path, serving, pool="nodes: 2"))["placement_group_config"]
    assert placed == {"bundle_per_worker": {"GPU": 1}, "strategy": strategy}


def test_lora_is_loaded_from_a_bucket(tmp_path: Path) -> None:
    config = llm(plan_of(tmp_path, "lora: {path: 's3://b/adapters', max_rank: 64, max_at_once: 2, max_per_replica: 9}"))
    assert config["lora_config"] == {
        "dynamic_lora_loading_path": "s3://b/adapters",
        "max_num_adapters_per_replica": 9,
    }
    told = {name: config["engine_kwargs"][name] for name in ("enable_lora", "max_loras", "max_lora_rank")}
    assert told == {"enable_lora": True, "max_loras": 2, "max_lora_rank": 64}


def test_numbers_of_replicas_stand_where_they_roll_nothing(tmp_path: Path) -> None:
    """Ray compares `args` and `runtime_env`: only what differs there makes new replicas."""
    few = only(plan_of(tmp_path, "replicas: {min: 1, max: 2}, max_queued: 8"))
    many = only(plan_of(tmp_path, "replicas: {min: 2, max: 4, target_ongoing: 9}, max_queued: 9, max_ongoing: 99"))
    assert {name: few[name] for name in ("args", "runtime_env")} == {
        name: many[name] for name in ("args", "runtime_env")
    }
    server = next(each for each in many["deployments"] if each["name"] == "LLMServer:m0")
    assert (server["max_ongoing_requests"], server["max_queued_requests"]) == (99, 9)
    assert (server["autoscaling_config"]["min_replicas"], server["autoscaling_config"]["max_replicas"]) == (2, 4)
    assert server["autoscaling_config"]["target_ongoing_requests"] == 9


def test_rows_do_not_share_an_application(tmp_path: Path) -> None:
    (before,) = plan_of(tmp_path, "", "").clusters()
    (after,) = plan_of(tmp_path, "", "dtype: float16").clusters()
    first, second = ([each["args"] for each in serve_config(plan)["applications"]] for plan in (before, after))
    assert (first[0] == second[0], first[1] == second[1]) == (True, False)


def test_an_answer_may_end_before_its_replica_does(tmp_path: Path) -> None:
    application = only(plan_of(tmp_path, ""))
    assert {each["graceful_shutdown_timeout_s"] for each in application["deployments"]} == {600}
    assert application["runtime_env"]["env_vars"]["RAY_SERVE_LLM_ROUTER_HTTP_TIMEOUT"] == "601"


@pytest.mark.parametrize(("replicas", "percent"), [("{min: 1}", 0), ("{min: 1, surge: true}", 1)])
def test_an_update_starts_the_new_replica_first_where_it_is_told_to(
    tmp_path: Path, replicas: str, percent: int
) -> None:
    server = only(plan_of(tmp_path, f"replicas: {replicas}"))["deployments"][0]
    assert server["max_surge_percent"] == percent


def test_a_cpu_pool_has_cpu_bundles_and_counts_nothing_else(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "env: {VLLM_CPU_KVCACHE_SPACE: '1'}", pools=CPU_POOL)
    config = llm(plan)
    assert "accelerator_type" not in config
    assert config["placement_group_config"]["bundle_per_worker"] == {"CPU": 1}
    assert config["deployment_config"]["ray_actor_options"] == {"num_cpus": 0}
    assert config["runtime_env"]["env_vars"]["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert serve_config(plan.clusters()[0])["http_options"] == {"host": "127.0.0.1", "port": 8123}


def test_direct_streaming_leaves_rays_ingress_out(tmp_path: Path) -> None:
    application = only(plan_of(tmp_path, "", pool="direct_streaming: true"))
    assert [each["name"] for each in application["deployments"]] == ["LLMServer:m0"]
    assert "ingress_deployment_config" not in application["args"]


def test_pools_of_one_cluster_are_deployed_together(tmp_path: Path) -> None:
    pools = "pools:\n" + "".join(
        f"  - {{name: {name}, accelerator: {kind}, accelerators_per_node: 8, clusters: [{urls}]}}\n"
        for name, kind, urls in (
            ("h100", "H100", "{url: 'http://a:8000'}, {url: 'http://b:8000'}"),
            ("l4", "L4", "{url: 'http://b:8000'}"),
        )
    )
    plans = plan_of(tmp_path, "", pools=pools).clusters()
    found = [(str(each.cluster.url), [pool.name for pool in each.pools]) for each in plans]
    assert found == [("http://a:8000/", ["h100"]), ("http://b:8000/", ["h100", "l4"])]
