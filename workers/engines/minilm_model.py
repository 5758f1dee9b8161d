"""A BERT-like encoder on onnxruntime: texts to tokens, tokens to one vector each."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from schemas.catalog import Model
from storage.heap import give_back_memory
from workers.engines.minilm_files import Options, check_dimensions, model_file, tokenizer_json
from workers.engines.setup import SetupError

MOST_THREADS: Final = 4
"""More threads do not make a model of this size faster."""

RUN_TOKENS: Final = 1024
"""Larger runs are no faster and take memory by the square of their length: 8 inputs of 256 tokens are 100 MB for one
layer's attention alone (2026-11)."""

PADDING: Final = 0.2
"""Of a run's tokens; one that would have more is two runs."""

LEAST_RUN_TOKENS: Final = 64
"""Below this size a run takes about as long with padding as without."""

Ids = Sequence[int]


class Encoder:
    """The loaded model. Its calls take as long as they take: they are for threads, one at a time each."""

    def __init__(self, session: Any, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = [each.name for each in session.get_inputs()]
        self.dimensions: int = session.get_outputs()[0].shape[-1]
        self.vocabulary = tokenizer.get_vocab_size()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, the marks around them among them; nothing is cut off."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def vectors(self, inputs: Sequence[Ids]) -> list[bytes]:
        """One for each input, of length 1: little-endian floats of 32 bits."""
        found = np.empty((len(inputs), self.dimensions), np.float32)
        by_length = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
        for run in runs(by_length, [len(each) for each in inputs]):
            found[run] = self._run([inputs[number] for number in run])
        return _rows(found)

    def shortened(self, vectors: Sequence[bytes], dimensions: int) -> list[bytes]:
        """The first dimensions of each, as a vector of length 1 again."""
        whole = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
        return _rows(unit_length(whole[:, :dimensions]))

    def _run(self, inputs: Sequence[Ids]) -> NDArray[np.float32]:
        longest = max(map(len, inputs))
        ids = np.zeros((len(inputs), longest), np.int64)
        mask = np.zeros((len(inputs), longest), np.int64)
        for row, each in enumerate(inputs):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run(None, {name: known[name] for name in self._inputs})
        # The mean over the tokens, without those that only fill up; its length does not matter before it becomes 1.
        summed = np.matmul(mask[:, None, :].astype(np.float32), hidden)[:, 0, :]
        return unit_length(summed)


def runs(by_length: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """The inputs, which come from the shortest to the longest, as runs that are little else than tokens."""
    run: list[int] = []
    tokens = 0
    for number in by_length:
        length = lengths[number]
        padded = (len(run) + 1) * length
        wastes = padded > LEAST_RUN_TOKENS and tokens + length < (1 - PADDING) * padded
        if run and (wastes or padded > RUN_TOKENS):
            yield run
            run, tokens = [], 0
        run.append(number)
        tokens += length
    if run:
        yield run


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    shortened: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return shortened


def _rows(vectors: NDArray[np.float32]) -> list[bytes]:
    return [row.tobytes() for row in vectors.astype("<f4", copy=False)]


def load(model: Model, options: Options) -> Encoder:
    """The encoder in memory and ready; takes most of a second, so not on the event loop. Raises SetupError."""
    path = model_file(model, options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads or _threads()
    # The cores are others' too: a thread that waits for work must not spin on one.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Its pool keeps the most that any run has ever taken: 1.6 GB after one of 32 inputs of 256 tokens (1.32, 2026-11).
    settings.enable_cpu_mem_arena = False
    tokenizer = _tokenizer(model, options)
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's own have no common root
        raise SetupError(f"model '{model.id}': onnxruntime could not load {path}") from exc
    encoder = Encoder(session, tokenizer)
    check_dimensions(model, encoder.dimensions)
    encoder.vectors([encoder.tokens(["ready"])[0]])
    # Loading leaves 60 MB behind.
    give_back_memory()
    return encoder


def _tokenizer(model: Model, options: Options) -> Tokenizer:
    try:
        tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json(model, options))
    except Exception as exc:  # tokenizers raises bare Exceptions
        raise SetupError(f"model '{model.id}': its tokenizer could not be read: {exc}") from exc
    # The file asks for all texts to be cut, and filled up, to 128 tokens.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores))
