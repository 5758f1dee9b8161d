"""The HTTP app over an object storage, with nothing else of the platform opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from ingress.app import create_app
from ingress.door import Door
from ingress.settings import IngressSettings
from storage.objects import Objects
from storage.settings import ObserveSettings, StorageSettings

URL = "http://door.example"


@asynccontextmanager
async def objects_door(objects: Objects, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an ingress at URL; it has no access key."""
    door = Door(StorageSettings(), IngressSettings(**settings), ObserveSettings())
    door.objects = objects
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app(door)), base_url=URL) as http:
        yield http


def app(http: httpx2.AsyncClient) -> FastAPI:
    """The app behind such a client."""
    transport = http._transport
    assert isinstance(transport, httpx2.ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
