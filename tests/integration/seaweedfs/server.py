"""A SeaweedFS of our own, from its wheel: master, volumes, filer and S3 in one process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx2

from storage.local.child import Child
from storage.local.ports import free_port, is_free

WEED: Final = Path(sys.executable).with_name("weed")
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "penstock", "AWS_SECRET_ACCESS_KEY": "not-a-secret-at-all"}
GRPC: Final = 10_000
"""How far above each port the same part's gRPC listens."""

READY_S: Final = 60.0


@asynccontextmanager
async def running_seaweedfs(folder: Path) -> AsyncIterator[str]:
    """The URL of its S3, once a bucket could be asked for; stopped by force, since its grace takes 16 s."""
    access = {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
    identity = {"name": "penstock", "credentials": [access], "actions": ["Admin"]}
    config = folder / "s3.json"
    await asyncio.to_thread(config.write_text, json.dumps({"identities": [identity]}))
    # (json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = (_port() for _ in range(4))
    command = [
        *(str(WEED), "server", "-dir", str(folder), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"),
        *("-master.port", str(master), "-volume.port", str(volume), "-master.volumeSizeLimitMB", "64"),
        *("-filer", "-filer.port", str(filer), "-filer.localSocket", str(folder / "filer.sock")),
        *("-s3", "-s3.port", str(s3), "-s3.localSocket", str(folder / "s3.sock"), "-s3.config", str(config)),
        *("-s3.port.iceberg", "0", "-s3.port.lance", "0", "-master.telemetry=false"),
    ]
    child = await Child.spawn("seaweedfs", command, folder / "seaweedfs.log")
    url = f"http://127.0.0.1:{s3}"
    try:
        await _ready(url, child)
        yield url
    finally:
        await child.stop(0)


def _port() -> int:
    while not is_free(GRPC + (port := free_port())):
        pass
    return port


async def _ready(url: str, child: Child) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(READY_S):
        while True:
            with suppress(httpx2.TransportError):
                if (await http.get(url)).status_code == 403:
                    return
            if not child.running:
                raise child.died()
            await asyncio.sleep(0.1)
