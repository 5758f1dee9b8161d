"""A plan on its clusters: by the REST API of Ray's dashboard, which takes what should run and makes it so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from workers.ray_serve.application import serve_config
from workers.ray_serve.plan import ClusterPlan

APPLICATIONS: Final = "/api/serve/applications/"
LOOK_EACH_S: Final = 1.0
REQUEST_TIMEOUT_S: Final = 60.0
ENDED: Final = {"DEPLOY_FAILED": True, "UNHEALTHY": True, "RUNNING": False}
"""States in which nothing changes by itself any more, and whether that is a failure."""


class DeployFailed(Exception):
    """A cluster cannot be reached, refuses the plan, or cannot run it."""


Tell = Callable[[str], None]


async def deploy(plan: ClusterPlan, token: str, tell: Tell, wait_s: float) -> None:
    """Has the cluster run the plan, and returns when all of it runs. Raises DeployFailed."""
    if plan.cluster.dashboard is None:
        raise DeployFailed(
            f"cluster {plan.cluster.url}: the catalogue names no dashboard of it, by which it could be deployed to"
        )
    dashboard = str(plan.cluster.dashboard).rstrip("/")
    config = serve_config(plan)
    async with _asking(dashboard, token) as ask:
        for line in changes(await ask("GET", None), config["applications"]):
            tell(f"{dashboard}: {line}")
        await ask("PUT", config)
        try:
            async with asyncio.timeout(wait_s):
                await _until_it_runs(ask, config, dashboard, tell)
        except TimeoutError:
            raise DeployFailed(
                f"{dashboard}: not all applications run after {wait_s:.0f} s; it goes on without us"
            ) from None


def changes(there: Mapping[str, Any], wanted: list[dict[str, Any]]) -> list[str]:
    """What a deployment will do, an application a line. One that is as it was keeps its replicas."""
    lines = []
    for each in wanted:
        earlier = (there.get(each["name"]) or {}).get("deployed_app_config")
        if earlier is None:
            lines.append(f"{each['name']}: new")
        elif all(earlier.get(name) == each[name] for name in ("args", "runtime_env", "import_path")):
            same = all(earlier.get(name) == value for name, value in each.items())
            lines.append(f"{each['name']}: {'as it was' if same else 'its bounds change, its replicas stay'}")
        else:
            lines.append(f"{each['name']}: rolls to new replicas")
    return lines + [
        f"{name}: is no row here, and is removed" for name in sorted(there.keys() - {each["name"] for each in wanted})
    ]


async def _until_it_runs(ask: "Ask", config: dict[str, Any], dashboard: str, tell: Tell) -> None:
    """Tells each change of state. Raises DeployFailed with Ray's own reason."""
    told: dict[str, str] = {}
    while True:
        found = await ask("GET", None)
        states = {each["name"]: found.get(each["name"], {}) for each in config["applications"]}
        for name, state in states.items():
            status = str(state.get("status", "NOT_STARTED"))
            if told.get(name) != status:
                told[name] = status
                tell(f"{dashboard}: {name}: {status}{_replicas(state)}")
        failed = [name for name, status in told.items() if ENDED.get(status)]
        if failed:
            raise DeployFailed("\n".join(f"{dashboard}: {name}: {_why(states[name])}" for name in failed))
        if all(status == "RUNNING" for status in told.values()):
            return
        await asyncio.sleep(LOOK_EACH_S)


def _replicas(state: Mapping[str, Any]) -> str:
    """How many replicas each deployment of an application has that runs."""
    if state.get("status") != "RUNNING":
        return ""
    counts = (f"{name} {len(each['replicas'])}" for name, each in sorted(state.get("deployments", {}).items()))
    return f" ({', '.join(counts)})"


def _why(state: Mapping[str, Any]) -> str:
    """The last thing that Ray says of a failure is its cause; before it come traces of its own."""
    said = [state.get("message", ""), *(each.get("message", "") for each in state.get("deployments", {}).values())]
    lines = [line.strip() for text in said for line in text.strip().splitlines() if line.strip()]
    return f"{state.get('status')}: {lines[-1] if lines else 'Ray gives no reason'}"


class _Found(msgspec.Struct):
    applications: dict[str, Any]


Ask = Callable[[str, dict[str, Any] | None], Any]


@asynccontextmanager
async def _asking(dashboard: str, token: str) -> AsyncIterator[Ask]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

        async def ask(method: str, body: dict[str, Any] | None) -> Any:
            try:
                async with session.request(method, dashboard + APPLICATIONS, json=body) as response:
                    text = await response.text()
                    if response.status != 200:
                        raise DeployFailed(f"{dashboard}: {_refusal(response.status, text)}")
                    return _applications(dashboard, text) if method == "GET" else None
            except (aiohttp.ClientError, TimeoutError) as exc:
                raise DeployFailed(f"{dashboard}: the cluster cannot be reached: {exc or type(exc).__name__}") from exc

        yield ask


def _applications(dashboard: str, text: str) -> dict[str, Any]:
    """What runs, by name. Raises DeployFailed for what Ray's dashboard would not say."""
    try:
        return msgspec.json.decode(text, type=_Found).applications
    except msgspec.DecodeError as exc:
        raise DeployFailed(
            f"{dashboard}: answered with what is no list of applications: is it Ray's dashboard?"
        ) from exc


def _refusal(status: int, text: str) -> str:
    if status == 401:
        return "the cluster wants a token; its pool's token_env names the variable that holds it"
    if status == 403:
        return "the cluster takes another token than the one its pool's token_env names"
    lines = text.strip().splitlines() or [""]
    return f"the cluster answered {status}: {lines[-1][:500]}"
