"""A plan in the words of Ray Serve's declarative config, for Ray 2.60: what `serve deploy` and its REST API take.

What a new number of replicas or another bound changes stands under `deployments`, and what needs new replicas under
`args`: Ray rolls an application anew when its `args` or `runtime_env` differ, and lets its replicas be otherwise
(ray/serve/_private/deploy_utils.py, get_app_code_version).
"""

from typing import Any, Final

from schemas.serving_rows import ServingRow
from workers.ray_serve.plan import Application, ClusterPlan

IMPORT_PATH: Final = "ray.serve.llm:build_openai_app"
SERVER: Final = "LLMServer:"
"""What Ray Serve LLM puts before the name of the deployment that holds vLLM."""
INGRESS: Final = "OpenAiIngress"

INGRESS_ONGOING: Final = 100
"""Requests that one of Ray's ingress processes is meant to carry; at 50 tokens a second each, its one core is full."""
RETRY_AFTER_S: Final = 1
"""When whoever finds the queue full may come again; Ray's ingress leaves it out, vLLM answering directly has it."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


def serve_config(plan: ClusterPlan) -> dict[str, Any]:
    """All applications of one cluster. Ray removes what it has and the config has not."""
    url = plan.cluster.url
    host = "127.0.0.1" if url.host in LOOPBACK else "0.0.0.0"
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": host, "port": plan.cluster.port or url.port},
        "applications": [application(each) for each in plan.applications],
    }


def application(app: Application) -> dict[str, Any]:
    args: dict[str, Any] = {"llm_configs": [_llm_config(app)]}
    if app.pool.on_cpu and not app.pool.direct_streaming:
        args["ingress_deployment_config"] = {"ray_actor_options": {"num_cpus": 0}}
    return {
        "name": app.name,
        "route_prefix": app.route,
        "import_path": IMPORT_PATH,
        "runtime_env": {"env_vars": _environment(app)},
        "args": args,
        "deployments": _deployments(app),
    }


def _llm_config(app: Application) -> dict[str, Any]:
    serving, pool = app.serving, app.pool
    config: dict[str, Any] = {
        "model_loading_config": {"model_id": app.model.upstream_name, "model_source": serving.weights},
        "placement_group_config": {
            "bundle_per_worker": {"CPU" if pool.on_cpu else "GPU": 1},
            "strategy": "STRICT_PACK" if app.on_one_node else "PACK",
        },
        "engine_kwargs": engine_kwargs(app),
        "deployment_config": {"name": app.name, "health_check_period_s": 10, "health_check_timeout_s": 30},
        "runtime_env": {"env_vars": _environment(app)},
        # Ray collects what vLLM says for 50 ms, unless told not to; the first token would wait for it too.
        "experimental_configs": {"stream_batching_interval_ms": 0},
    }
    if pool.on_cpu:
        # The replica's own process is counted in its bundles, so that a plan's sums are Ray's.
        config["deployment_config"]["ray_actor_options"] = {"num_cpus": 0}
    else:
        config["accelerator_type"] = pool.accelerator
    if serving.lora is not None:
        config["lora_config"] = {
            "dynamic_lora_loading_path": serving.lora.path,
            "max_num_adapters_per_replica": serving.lora.max_per_replica,
        }
    return config


def engine_kwargs(app: Application) -> dict[str, Any]:
    """vLLM's own arguments; those of the row's `engine_kwargs` come last."""
    serving = app.serving
    said: dict[str, Any] = {
        "max_model_len": app.model.fitting_tokens,
        "tensor_parallel_size": serving.tensor_parallel,
        "pipeline_parallel_size": serving.pipeline_parallel,
        "dtype": serving.dtype,
        "max_num_seqs": serving.max_running,
        "quantization": serving.quantization,
        "revision": serving.revision,
        "tokenizer_revision": serving.revision,
    }
    if app.model.modality == "embedding":
        said["runner"] = "pooling"
    else:
        # What was found in the cache is told in the usage, and so reaches the price.
        said |= {"enable_prompt_tokens_details": True, **_parsers(serving)}
    if serving.lora is not None:
        said |= {
            "enable_lora": True,
            "max_loras": serving.lora.max_at_once,
            "max_lora_rank": serving.lora.max_rank,
            "max_cpu_loras": serving.lora.max_per_replica,
        }
    return {name: value for name, value in said.items() if value is not None} | serving.engine_kwargs


def _parsers(serving: ServingRow) -> dict[str, Any]:
    tools = {"enable_auto_tool_choice": True, "tool_call_parser": serving.tool_parser}
    return {**(tools if serving.tool_parser else {}), "reasoning_parser": serving.reasoning_parser}


def _environment(app: Application) -> dict[str, str]:
    """A job's deadline is the platform's; Ray's ingress would end a stream after ten minutes."""
    return {"RAY_SERVE_LLM_ROUTER_HTTP_TIMEOUT": str(int(app.model.deadline_s) + 1), **app.serving.env}


def _deployments(app: Application) -> list[dict[str, Any]]:
    serving, replicas = app.serving, app.serving.replicas
    server = {
        "name": SERVER + app.name,
        "max_ongoing_requests": serving.max_ongoing,
        "max_queued_requests": serving.max_queued,
        "backpressure_config": {"status_code": 503, "retry_after_s": RETRY_AFTER_S},
        # Of what there is, rounded up: one replica.
        "max_surge_percent": 1 if replicas.surge else 0,
        "graceful_shutdown_timeout_s": app.model.deadline_s,
        "autoscaling_config": {
            "min_replicas": replicas.min,
            "max_replicas": replicas.most,
            "target_ongoing_requests": replicas.target_ongoing,
            "upscale_delay_s": replicas.upscale_delay_s,
            "downscale_delay_s": replicas.downscale_delay_s,
        },
    }
    ingress = {
        "name": INGRESS,
        "graceful_shutdown_timeout_s": app.model.deadline_s,
        "autoscaling_config": {
            "min_replicas": min(1, replicas.min),
            "max_replicas": 2 * replicas.most,
            "target_ongoing_requests": INGRESS_ONGOING,
        },
    }
    return [server] if app.pool.direct_streaming else [server, ingress]
