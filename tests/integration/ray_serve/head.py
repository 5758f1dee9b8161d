"""A Ray cluster of one node on this machine, with token authentication."""

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
from prometheus_client.parser import text_string_to_metric_families

from storage.local.child import Child
from storage.local.ports import free_port
from tests.integration.vllm.engine import PYTHON

CPUS: Final = 4
"""What Ray counts, whatever the machine has: each model's placement group takes one."""
OBJECT_STORE_BYTES: Final = 80_000_000
START_S: Final = 120.0
STOP_S: Final = 20.0


class RayHead:
    """`serve` is where its models will be asked, `dashboard` where it is told what to serve."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(32)
        self._folder = folder
        self._ports = {
            name: free_port()
            for name in (
                "port",
                "dashboard-port",
                "dashboard-agent-listen-port",
                "dashboard-agent-grpc-port",
                "runtime-env-agent-port",
                "ray-client-server-port",
                "metrics-export-port",
            )
        }
        self._child: Child | None = None
        self._processes: list[psutil.Process] = []
        self.serve = f"http://127.0.0.1:{free_port()}"
        self.dashboard = f"http://127.0.0.1:{self._ports['dashboard-port']}"
        self.metrics = f"http://127.0.0.1:{self._ports['metrics-export-port']}/metrics"

    async def start(self) -> None:
        ports = [f"--{name}={port}" for name, port in self._ports.items()]
        command = [
            *(str(PYTHON), "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
            *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", *ports),
            *(f"--num-cpus={CPUS}", "--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"),
            # Any; Ray's own choice of them is where the ports above are from.
            *("--min-worker-port=0", "--max-worker-port=0"),
            f"--temp-dir={self._folder / 'ray'}",
        ]
        env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_metrics_report_interval_ms": "500"}
        self._child = await Child.spawn("ray", command, self._folder / "ray.log", env=env)
        async with asyncio.timeout(START_S):
            while not await self._answers():
                if not self._child.running:
                    raise self._child.died()
                await asyncio.sleep(0.3)

    async def kill(self) -> None:
        """kill -9 of the whole cluster."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await self._gone()

    async def stop(self) -> None:
        if self._child is None:
            return
        left = self._tree()
        await self._child.stop(STOP_S)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await self._gone()

    def spare_a_core(self) -> None:
        """Keeps the vLLMs that run now to one core, for ONE_CORE's reason; to load they may have all there are."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("VLLM"):
                    for thread in process.threads():
                        os.sched_setaffinity(thread.id, {min(os.sched_getaffinity(0))})

    async def applications(self) -> dict[str, Any]:
        """What Ray says of them, by name."""
        async with self._http() as http:
            applications: dict[str, Any] = (await http.get("/api/serve/applications/")).json()["applications"]
        return applications

    async def replica_pids(self, application: str) -> list[int]:
        """The processes that hold its vLLMs, of replicas that take requests."""
        deployments = (await self.applications())[application]["deployments"]
        (server,) = (each for name, each in deployments.items() if name.startswith("LLMServer"))
        return [each["pid"] for each in server["replicas"] if each["state"] == "RUNNING"]

    async def samples(self, name: str) -> dict[str, float]:
        """What vLLM counts under this name, by the id of its replica."""
        async with httpx2.AsyncClient(trust_env=False) as http:
            text = (await http.get(self.metrics)).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = [each for each in samples if each.name == "ray_" + name.replace(":", "_")]
        return {each.labels["ReplicaId"]: each.value for each in found}

    async def metric(self, name: str) -> float:
        """The same of all replicas together."""
        return sum((await self.samples(name)).values())

    def _http(self) -> httpx2.AsyncClient:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx2.AsyncClient(base_url=self.dashboard, headers=headers, timeout=30, trust_env=False)

    async def _answers(self) -> bool:
        with suppress(httpx2.TransportError):
            async with self._http() as http:
                return (await http.get("/api/serve/applications/")).status_code == 200
        return False

    def _tree(self) -> list[psutil.Process]:
        """All its processes, remembered, so that those whose parents have ended are among them."""
        if self._child is not None:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(self._child.pid)
                self._processes = [parent, *parent.children(recursive=True), *self._processes]
        return self._processes

    async def _gone(self) -> None:
        await asyncio.to_thread(psutil.wait_procs, self._processes, STOP_S)
        assert not [each for each in self._processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        self._processes = []
        if self._child is not None:
            await self._child.wait()
        self._child = None
