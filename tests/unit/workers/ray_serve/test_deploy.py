"""Against a dashboard that answers as Ray 2.60's does; the real one is asked in tests/integration/ray_serve."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.workers.ray_serve.catalogs import plan_of
from workers.ray_serve.application import serve_config
from workers.ray_serve.deploy import APPLICATIONS, DeployFailed, changes, deploy
from workers.ray_serve.plan import ClusterPlan

TOKEN = "t" * 32


class Dashboard:
    """Takes a config, and then is in one of `states` after the other."""

    def __init__(self) -> None:
        self.put: list[Any] = []
        self.states: list[Mapping[str, Any]] = []
        app = web.Application()
        app.router.add_get(APPLICATIONS, self._get)
        app.router.add_put(APPLICATIONS, self._put)
        self.server = TestServer(app)

    async def _get(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.Response(status=403, text="Forbidden: Invalid authentication token")
        state = self.states.pop(0) if self.put else {}
        return web.json_response({"applications": state})

    async def _put(self, request: web.Request) -> web.Response:
        self.put.append(await request.json())
        return web.Response()


@pytest.fixture
async def dashboard() -> AsyncIterator[Dashboard]:
    made = Dashboard()
    await made.server.start_server()
    yield made
    await made.server.close()


def plan(folder: Path, url: object) -> ClusterPlan:
    pools = (
        "pools:\n  - name: h100\n    accelerator: H100\n    accelerators_per_node: 8\n"
        f"    clusters: [{{url: 'http://ray:8000', dashboard: '{url}'}}]\n"
    )
    return plan_of(folder, "", pools=pools).clusters()[0]


async def test_a_deployment_ends_when_all_runs(tmp_path: Path, dashboard: Dashboard) -> None:
    running = {"status": "RUNNING", "deployments": {"LLMServer:m0": {"replicas": [{}, {}]}}}
    dashboard.states = [{"m0": {"status": "DEPLOYING"}}, {"m0": running}]
    wanted = plan(tmp_path, dashboard.server.make_url("/"))
    told: list[str] = []
    await deploy(wanted, TOKEN, told.append, wait_s=30)
    assert dashboard.put == [serve_config(wanted)]
    assert [line.split(": ", 1)[1] for line in told] == [
        "m0: new",
        "m0: DEPLOYING",
        "m0: RUNNING (LLMServer:m0 2)",
    ]


async def test_what_ray_cannot_run_is_said_with_its_reason(tmp_path: Path, dashboard: Dashboard) -> None:
    trace = "Traceback (most recent call last):\n  …\nRuntimeError: no such model\n"
    dashboard.states = [{"m0": {"status": "DEPLOY_FAILED", "message": trace}}]
    with pytest.raises(DeployFailed, match="m0: DEPLOY_FAILED: RuntimeError: no such model"):
        await deploy(plan(tmp_path, dashboard.server.make_url("/")), TOKEN, print, wait_s=30)


@pytest.mark.parametrize(
    ("token", "reason"), [("", "the cluster wants a token"), ("x" * 32, "the cluster takes another token")]
)
async def test_a_cluster_that_refuses_the_token_says_so(
    tmp_path: Path, dashboard: Dashboard, token: str, reason: str
) -> None:
    with pytest.raises(DeployFailed, match=reason):
        await deploy(plan(tmp_path, dashboard.server.make_url("/")), token, print, wait_s=30)
    assert dashboard.put == []


async def test_a_cluster_that_is_gone_says_so(tmp_path: Path, dashboard: Dashboard) -> None:
    url = dashboard.server.make_url("/")
    await dashboard.server.close()
    with pytest.raises(DeployFailed, match="the cluster cannot be reached"):
        await deploy(plan(tmp_path, url), TOKEN, print, wait_s=30)


@pytest.mark.parametrize("page", ["<html>", "{}", '{"applications": []}'])
async def test_what_is_no_dashboard_of_ray_says_so(tmp_path: Path, page: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page)

    app = web.Application()
    app.router.add_get(APPLICATIONS, answer)
    async with TestServer(app) as server:
        with pytest.raises(DeployFailed, match="is it Ray's dashboard"):
            await deploy(plan(tmp_path, server.make_url("/")), TOKEN, print, wait_s=5)


async def test_a_wait_has_an_end(tmp_path: Path, dashboard: Dashboard) -> None:
    dashboard.states = [{"m0": {"status": "DEPLOYING"}}] * 9
    with pytest.raises(DeployFailed, match=r"not all applications run after 0 s; it goes on without us"):
        await deploy(plan(tmp_path, dashboard.server.make_url("/")), TOKEN, print, wait_s=0.2)


def test_what_a_deployment_changes_is_told_before(tmp_path: Path) -> None:
    (before,) = plan_of(tmp_path, "", "", "", "").clusters()
    there = {each["name"]: {"deployed_app_config": each} for each in serve_config(before)["applications"]}
    (after,) = plan_of(tmp_path, "", "max_queued: 7", "dtype: float16").clusters()
    assert changes(there, serve_config(after)["applications"]) == [
        "m0: as it was",
        "m1: its bounds change, its replicas stay",
        "m2: rolls to new replicas",
        "m3: is no row here, and is removed",
    ]
