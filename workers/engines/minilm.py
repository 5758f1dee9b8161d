"""An embedding model on onnxruntime, in the worker's own process and off its event loop."""

import asyncio
import pkgutil
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, InvalidValue
from schemas.media import Embed
from schemas.media_chunks import Vectors
from schemas.usage import Usage
from workers.engines import setup
from workers.engines.minilm_batches import Batches, Ids
from workers.engines.minilm_files import Options, check
from workers.engines.once import Once
from workers.engines.vectors import chunked

if TYPE_CHECKING:
    from workers.engines.minilm_model import Encoder

LOAD: Final = "workers.engines.minilm_model:load"
"""By name and not by import: numpy and onnxruntime are 40 MB that a worker nobody asks for vectors does not need."""


class MiniLM:
    """One row's model. Inputs longer than the row allows are refused, never cut."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.embedding is not None, "an embedding model has its contract"
        self._options = setup.options(model, Options)
        self._model = model
        self._row = model.embedding
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix=f"tokenize {model.id}")
        self._batches = Batches(model.id, self._compute, self._options.batch_tokens)
        self._encoder = Once(model.id, self._load)

    @property
    def slots(self) -> int:
        return self._options.jobs

    async def start(self) -> None:
        """Sees that all is there, and loads what an operator has brought; the embedded model waits to be asked.

        Raises SetupError.
        """
        check(self._model, self._options)
        if not self._options.embedded:
            await self._encoder.load()

    async def generate(self, job_id: str, asked: Embed) -> AsyncGenerator[Sequence[Vectors | UsageReport], None]:
        encoder = await self._encoder.get()
        inputs = await self._tokens(encoder, asked.inputs)
        given, tokens = 0, 0
        batches = self._batches.vectors(inputs)
        try:
            async for vectors in batches:
                tokens += sum(len(each) for each in inputs[given : given + len(vectors)])
                wanted = vectors if asked.dimensions is None else encoder.shortened(vectors, asked.dimensions)
                yield [*chunked(given, wanted), UsageReport(Usage(input_tokens=tokens))]
                given += len(vectors)
        finally:
            await batches.aclose()

    async def close(self) -> None:
        await self._batches.close()
        await self._encoder.close()
        await asyncio.to_thread(self._tokenizing.shutdown)

    async def _tokens(self, encoder: "Encoder", inputs: Sequence[str | tuple[int, ...]]) -> list[Ids]:
        """The tokens of each input. Raises ContextLengthExceeded, or InvalidValue for a token that there is not."""
        texts = [each for each in inputs if isinstance(each, str)]
        loop = asyncio.get_running_loop()
        told = iter(await loop.run_in_executor(self._tokenizing, encoder.tokens, texts) if texts else ())
        found: list[Ids] = [next(told) if isinstance(each, str) else each for each in inputs]
        for number, tokens in enumerate(found):
            param = f"input[{number}]" if len(found) > 1 else "input"
            if len(tokens) > self._row.max_input_tokens:
                raise ContextLengthExceeded(
                    f"The model '{self._model.id}' reads at most {self._row.max_input_tokens} tokens of one input; "
                    f"'{param}' has {len(tokens)}. Split or shorten it.",
                    param=param,
                )
            if not isinstance(inputs[number], str) and max(tokens) >= encoder.vocabulary:
                raise InvalidValue(
                    f"'{param}' should hold tokens below {encoder.vocabulary}; got {max(tokens)}.", param=param
                )
        return found

    def _compute(self, inputs: Sequence[Ids]) -> list[bytes]:
        """Called in the batches' thread."""
        return self._encoder.loaded.vectors(inputs)

    def _load(self) -> "Encoder":
        encoder: Encoder = pkgutil.resolve_name(LOAD)(self._model, self._options)
        return encoder
