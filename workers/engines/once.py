"""What takes a second and tens of megabytes to load, and so is loaded when it is first asked for."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.errors import EngineFailed, EngineUnavailable
from workers.engines.setup import SetupError

Loaded = TypeVar("Loaded")


class Once(Generic[Loaded]):
    """Loads in a thread, once for all who ask at the same time; after a failure whoever asks next tries again."""

    def __init__(self, model_id: str, load: Callable[[], Loaded]) -> None:
        self._model_id = model_id
        self._load = load
        self._loading: asyncio.Task[Loaded] | None = None
        self._closed = False

    async def load(self) -> Loaded:
        """Raises SetupError, and EngineUnavailable once it is closed."""
        if self._closed:
            raise EngineUnavailable(f"The engine of model '{self._model_id}' was closed.")
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.create_task(asyncio.to_thread(self._load), name=f"load {self._model_id}")
        # Who goes away does not take it from those who wait with them.
        return await asyncio.shield(self._loading)

    async def get(self) -> Loaded:
        """What `load` gives, for a job: raises the errors of engines."""
        try:
            return await self.load()
        except SetupError as failure:
            raise EngineFailed(f"The engine of model '{self._model_id}' could not be loaded.") from failure

    @property
    def loaded(self) -> Loaded:
        """For whoever comes after one whom `load` has answered."""
        assert self._loading is not None, "it was loaded"
        return self._loading.result()

    async def close(self) -> None:
        """Returns when nothing is being loaded any more, and lets go of what was."""
        self._closed = True
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        self._loading = None
