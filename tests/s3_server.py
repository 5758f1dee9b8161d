"""S3 on moto's server, in a thread: it speaks the protocol and checks no signature."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from moto.server import ThreadedMotoServer

from storage.settings import StorageSettings

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret"}


@contextmanager
def running_moto() -> Iterator[str]:
    """The server's URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_settings(endpoint: str, objects: str, **fields: object) -> StorageSettings:
    return StorageSettings.model_validate({"objects": objects, "s3_endpoint": endpoint, **fields})


async def fetch_anew(url: str) -> httpx2.Response:
    """What a stranger gets, over a connection of its own."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(url)
