"""An embedding model on onnxruntime, in the worker's own process and off its event loop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, EngineUnavailable, InvalidValue
from schemas.media import Embed
from schemas.media_chunks import Vectors
from schemas.usage import Usage
from workers.engines import setup
from workers.engines.minilm_batches import Batches, Ids
from workers.engines.minilm_model import Encoder, Options, load, unit_length
from workers.engines.vectors import chunked


class MiniLM:
    """One row's model. Inputs longer than the row allows are refused, never cut."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.embedding is not None, "an embedding model has its contract"
        self._options = setup.options(model, Options)
        self._model = model
        self._row = model.embedding
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix=f"tokenize {model.id}")
        self._batches = Batches(model.id, self._compute, self._options.batch_tokens)
        self._encoder: Encoder | None = None

    @property
    def slots(self) -> int:
        return self._options.jobs

    async def start(self) -> None:
        """Loads the model. Raises SetupError."""
        self._encoder = await asyncio.to_thread(load, self._model, self._options)

    async def generate(self, job_id: str, asked: Embed) -> AsyncGenerator[Sequence[Vectors | UsageReport], None]:
        inputs = await self._tokens(asked.inputs)
        given, tokens = 0, 0
        batches = self._batches.vectors(inputs)
        try:
            async for vectors in batches:
                tokens += sum(len(each) for each in inputs[given : given + len(vectors)])
                wanted = vectors if asked.dimensions is None else self._shortened(vectors, asked.dimensions)
                yield [*chunked(given, wanted), UsageReport(Usage(input_tokens=tokens))]
                given += len(vectors)
        finally:
            await batches.aclose()

    async def close(self) -> None:
        self._encoder = None
        await self._batches.close()
        await asyncio.to_thread(self._tokenizing.shutdown)

    async def _tokens(self, inputs: Sequence[str | tuple[int, ...]]) -> list[Ids]:
        """The tokens of each input. Raises ContextLengthExceeded, or InvalidValue for a token that there is not."""
        encoder = self._ready()
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
        return _rows(self._ready().vectors(inputs))

    def _shortened(self, vectors: Sequence[bytes], dimensions: int) -> list[bytes]:
        """The first dimensions of each, as a vector of length 1 again."""
        whole = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
        return _rows(unit_length(whole[:, :dimensions]))

    def _ready(self) -> Encoder:
        if self._encoder is None:
            raise EngineUnavailable(f"The engine of model '{self._model.id}' has not been started, or was closed.")
        return self._encoder


def _rows(vectors: NDArray[np.float32]) -> list[bytes]:
    return [row.tobytes() for row in vectors.astype("<f4", copy=False)]
