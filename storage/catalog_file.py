"""One file of the catalogue: its rows and pools, each with the place where it stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from schemas.catalog import Model, Timeouts
from schemas.media_rows import EmbeddingRow, ImageRow, InvokeRow, SpeechRow, VideoRow
from schemas.parameters import Rule
from schemas.place import place, steps
from schemas.price_rows import PriceRow
from schemas.serving_rows import Cluster, Lora, Pod, Pool, Replicas, ServingRow, Toleration
from storage.yaml_marks import line_of, repeated_keys

FILE_FIELDS: Final = ("models", "pools", "builtin")
INNER_ROWS: Final[dict[str, type[BaseModel]]] = {
    "price": PriceRow,
    "timeouts": Timeouts,
    "parameters": Rule,
    "embedding": EmbeddingRow,
    "image": ImageRow,
    "speech": SpeechRow,
    "video": VideoRow,
    "invoke": InvokeRow,
    "serving": ServingRow,
    "replicas": Replicas,
    "lora": Lora,
    "clusters": Cluster,
    "pod": Pod,
    "tolerations": Toleration,
}

RowT = TypeVar("RowT", bound=BaseModel)


class CatalogError(Exception):
    """The catalogue cannot be used. Each line of the message is one fault: file, line and reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Place:
    """Where a row stands."""

    path: Path
    root: yaml.Node
    steps: tuple[str | int, ...]

    def at(self, *steps: str | int) -> str:
        """File and line of what lies at `steps` in the row; of the nearest thing around it, if that is not there."""
        return f"{self.path}:{line_of(self.root, [*self.steps, *steps])}"

    def __str__(self) -> str:
        return self.at()


@dataclass(frozen=True)
class Entry(Generic[RowT]):
    """A valid row and where it stands."""

    row: RowT
    where: Place
    replaces: bool = False


@dataclass(frozen=True)
class CatalogFile:
    models: tuple[Entry[Model], ...] = ()
    pools: tuple[Entry[Pool], ...] = ()
    keeps_builtin: bool = True


def read_file(path: Path, faults: list[str]) -> CatalogFile:
    """What is valid in the file; a line for each thing that is not goes to `faults`."""
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
        content = None if root is None else SafeConstructor().construct_document(root)
    except OSError as exc:
        faults.append(f"{path}: cannot be read: {exc.strerror}")
        return CatalogFile()
    except UnicodeDecodeError as exc:
        faults.append(f"{path}: is not UTF-8 at byte {exc.start}")
        return CatalogFile()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        faults.append(f"{path}:{mark.line + 1 if mark else 1}: is not valid YAML: {exc.problem or exc.context}")
        return CatalogFile()
    except yaml.YAMLError as exc:
        faults.append(f"{path}: is not valid YAML: {' '.join(str(exc).split())}")
        return CatalogFile()
    if root is None or not isinstance(content, dict) or not _holds_rows(content):
        faults.append(f"{path}:1: should hold a list of rows under 'models:'")
        return CatalogFile()
    return _file(path, root, content, faults)


def guess(name: str, known: Iterable[str]) -> str:
    """What was meant, or what there is."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def _holds_rows(content: dict[Any, Any]) -> bool:
    """A file of pools alone needs no models."""
    lists = [content[name] for name in ("models", "pools") if name in content]
    return bool(lists) and all(isinstance(each, list) for each in lists)


def _file(path: Path, root: yaml.Node, content: dict[Any, Any], faults: list[str]) -> CatalogFile:
    faults += [f"{path}:{line}: '{key}' stands there twice" for key, line in repeated_keys(root)]
    for name in content:
        if name not in FILE_FIELDS:
            faults.append(f"{path}:{line_of(root, [name])}: unknown field '{name}'{guess(str(name), FILE_FIELDS)}")
    keeps_builtin = content.get("builtin", True)
    if not isinstance(keeps_builtin, bool):
        faults.append(f"{path}:{line_of(root, ['builtin'])}: builtin should be true or false")
    models = [
        _row(Model, "model", Place(path, root, ("models", index)), values, faults)
        for index, values in enumerate(content.get("models", ()))
    ]
    pools = [
        _row(Pool, "pool", Place(path, root, ("pools", index)), values, faults)
        for index, values in enumerate(content.get("pools", ()))
    ]
    return CatalogFile(
        tuple(entry for entry in models if entry is not None),
        tuple(entry for entry in pools if entry is not None),
        keeps_builtin is not False,
    )


def _row(kind: type[RowT], called: str, where: Place, values: object, faults: list[str]) -> Entry[RowT] | None:
    """Only a model may replace an earlier one."""
    known_by, needs = ("id", "an id and an engine") if kind is Model else ("name", "a name and an accelerator")
    if not isinstance(values, dict):
        faults.append(f"{where}: a row should be a mapping with at least {needs}")
        return None
    name = f"{called} '{values[known_by]}'" if known_by in values else f"{called}s[{where.steps[-1]}]"
    replaces = values.pop("replace", False) if kind is Model else False
    if not isinstance(replaces, bool):
        faults.append(f"{where.at('replace')}: {name}: replace should be true or false")
    fields = (*kind.model_fields, "replace") if kind is Model else tuple(kind.model_fields)
    try:
        return Entry(kind.model_validate(values), where, replaces is True)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            reason = _reason(error["type"], error["loc"], error["msg"], fields)
            faults.append(f"{where.at(*steps(error['loc']))}: {name}: {reason}")
        return None


def _reason(kind: str, loc: tuple[int | str, ...], message: str, fields: Iterable[str]) -> str:
    path = place(loc)
    if kind == "extra_forbidden":
        return f"unknown field '{path}'{guess(str(loc[-1]), _neighbours(loc, fields))}"
    if kind == "missing":
        return f"{path} is required"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return f"{path} {message.removeprefix('Input ')}" if message.startswith("Input ") else f"{path}: {message}"


def _neighbours(loc: tuple[int | str, ...], fields: Iterable[str]) -> Iterable[str]:
    """The fields there are where an unknown one was found."""
    if len(loc) == 1:
        return fields
    inner = next((INNER_ROWS[str(step)] for step in reversed(loc[:-1]) if step in INNER_ROWS), None)
    return inner.model_fields if inner else ()
