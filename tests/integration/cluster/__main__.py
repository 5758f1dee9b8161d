"""Runs compose.yaml's topology on this machine until Ctrl-C, with the models that Penstock brings along."""

import asyncio
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from storage.local.kafka_install import install_kafka
from tests.integration.cluster.cluster import running_cluster
from tests.integration.cluster.compose_file import ROOT


async def main() -> None:
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    kafka = await install_kafka(lambda what, done, of: None)
    with tempfile.TemporaryDirectory(prefix="penstock-cluster-") as folder:
        async with running_cluster(Path(folder), kafka, ROOT / "deploy" / "catalog.yaml") as cluster:
            key = await cluster.create_key()
            print(f"base URL  {cluster.base_url}\nkey       {key.secret}\nlogs      {folder}", flush=True)
            for name in cluster.names:
                print(f"{name:<14}  {cluster.address(name)}", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(main())
