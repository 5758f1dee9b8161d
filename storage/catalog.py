"""The catalogue's files: the built-in one, and the operator's."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from schemas.catalog import Catalog, Model, Timeouts
from schemas.media_rows import EmbeddingRow, ImageRow, InvokeRow, SpeechRow, VideoRow
from schemas.parameters import Rule
from schemas.place import place, steps
from schemas.price_rows import PriceRow
from storage.yaml_marks import line_of, repeated_keys

BUILTIN: Final = Path(__file__).with_name("builtin.yaml")

FILE_FIELDS: Final = ("models", "builtin")
ROW_FIELDS: Final = (*Model.model_fields, "replace")
INNER_ROWS: Final[dict[str, type[BaseModel]]] = {
    "price": PriceRow,
    "timeouts": Timeouts,
    "parameters": Rule,
    "embedding": EmbeddingRow,
    "image": ImageRow,
    "speech": SpeechRow,
    "video": VideoRow,
    "invoke": InvokeRow,
}


class CatalogError(Exception):
    """The catalogue cannot be used. Each line of the message is one fault: file, line and reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class _Row:
    """A valid row and where it stands."""

    model: Model
    replaces: bool
    where: str


@dataclass(frozen=True)
class _File:
    rows: tuple[_Row, ...] = ()
    keeps_builtin: bool = True


def catalog_files(setting: str) -> list[Path]:
    """The files that a setting names, separated as in PATH."""
    return [Path(name) for name in setting.split(os.pathsep) if name]


def load_catalog(files: Sequence[Path]) -> Catalog:
    """The built-in rows and those of `files`, in order. Raises CatalogError with every fault there is.

    Ids and aliases are unique over all files. A row with `replace: true` takes the place of an earlier one with its
    id, and a file with `builtin: false` leaves the built-in rows out.
    """
    faults: list[str] = []
    own = [_read(path, faults) for path in files]
    builtin = [_read(BUILTIN, faults)] if all(file.keeps_builtin for file in own) else []
    rows = _merge([row for file in (*builtin, *own) for row in file.rows], faults)
    _check_names(rows, faults)
    _check_fallbacks(rows, faults)
    _check_elsewhere(rows, faults)
    if not rows and not faults:
        faults.append("The catalogue holds no models: give a file with rows, or leave the built-in ones in.")
    if faults:
        raise CatalogError(faults)
    return Catalog(row.model for row in rows)


def _read(path: Path, faults: list[str]) -> _File:
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
        content = None if root is None else SafeConstructor().construct_document(root)
    except OSError as exc:
        faults.append(f"{path}: cannot be read: {exc.strerror}")
        return _File()
    except UnicodeDecodeError as exc:
        faults.append(f"{path}: is not UTF-8 at byte {exc.start}")
        return _File()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        faults.append(f"{path}:{mark.line + 1 if mark else 1}: is not valid YAML: {exc.problem or exc.context}")
        return _File()
    except yaml.YAMLError as exc:
        faults.append(f"{path}: is not valid YAML: {' '.join(str(exc).split())}")
        return _File()
    if root is None or not isinstance(content, dict) or not isinstance(content.get("models"), list):
        faults.append(f"{path}:1: should hold a list of rows under 'models:'")
        return _File()
    return _file(path, root, content, faults)


def _file(path: Path, root: yaml.Node, content: dict[Any, Any], faults: list[str]) -> _File:
    faults += [f"{path}:{line}: '{key}' stands there twice" for key, line in repeated_keys(root)]
    for name in content:
        if name not in FILE_FIELDS:
            faults.append(f"{path}:{line_of(root, [name])}: unknown field '{name}'{_guess(str(name), FILE_FIELDS)}")
    keeps_builtin = content.get("builtin", True)
    if not isinstance(keeps_builtin, bool):
        faults.append(f"{path}:{line_of(root, ['builtin'])}: builtin should be true or false")
    rows = []
    for index, values in enumerate(content["models"]):
        row = _row(path, root, index, values, faults)
        rows += [] if row is None else [row]
    return _File(tuple(rows), keeps_builtin is not False)


def _row(path: Path, root: yaml.Node, index: int, values: object, faults: list[str]) -> _Row | None:
    at: list[str | int] = ["models", index]
    where = f"{path}:{line_of(root, at)}"
    if not isinstance(values, dict):
        faults.append(f"{where}: a row should be a mapping with at least an id and an engine")
        return None
    name = f"model '{values['id']}'" if "id" in values else f"models[{index}]"
    replaces = values.pop("replace", False)
    if not isinstance(replaces, bool):
        faults.append(f"{path}:{line_of(root, [*at, 'replace'])}: {name}: replace should be true or false")
    try:
        return _Row(Model.model_validate(values), replaces is True, where)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            line = line_of(root, [*at, *steps(error["loc"])])
            faults.append(f"{path}:{line}: {name}: {_reason(error['type'], error['loc'], error['msg'])}")
        return None


def _reason(kind: str, loc: tuple[int | str, ...], message: str) -> str:
    path = place(loc)
    if kind == "extra_forbidden":
        return f"unknown field '{path}'{_guess(str(loc[-1]), _neighbours(loc))}"
    if kind == "missing":
        return f"{path} is required"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return f"{path} {message.removeprefix('Input ')}" if message.startswith("Input ") else f"{path}: {message}"


def _neighbours(loc: tuple[int | str, ...]) -> Iterable[str]:
    """The fields there are where an unknown one was found."""
    if len(loc) == 1:
        return ROW_FIELDS
    inner = INNER_ROWS.get(str(loc[0]))
    return inner.model_fields if inner else ()


def _guess(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def _merge(rows: Iterable[_Row], faults: list[str]) -> list[_Row]:
    kept: dict[str, _Row] = {}
    for row in rows:
        row_id = row.model.id
        earlier = kept.get(row_id)
        if row.replaces and earlier is None:
            faults.append(f"{row.where}: model '{row_id}': there is no earlier row that it could replace")
        elif earlier is not None and not row.replaces:
            faults.append(
                f"{row.where}: model '{row_id}': stands at {earlier.where} already; "
                "choose another id, or write 'replace: true' to replace that row"
            )
        kept[row_id] = row
    return list(kept.values())


def _check_names(rows: Iterable[_Row], faults: list[str]) -> None:
    taken = {row.model.id: row for row in rows}
    for row in rows:
        for alias in row.model.aliases:
            if other := taken.get(alias):
                faults.append(
                    f"{row.where}: model '{row.model.id}': the alias '{alias}' already names "
                    f"'{other.model.id}' at {other.where}"
                )
            taken[alias] = row


def _check_fallbacks(rows: Sequence[_Row], faults: list[str]) -> None:
    """A fallback is a model of the catalogue, another than the row itself, and named once.

    Two rows may name each other: only the fallbacks of the model that was asked are asked, never theirs.
    """
    named = {name: row.model.id for row in rows for name in (row.model.id, *row.model.aliases)}
    for row in rows:
        seen: set[str] = set()
        for name in row.model.fallbacks:
            fault = f"{row.where}: model '{row.model.id}': the fallback '{name}' "
            found = named.get(name)
            if found is None:
                near = get_close_matches(name, named, n=1)
                faults.append(fault + "is no model here" + (f"; did you mean '{near[0]}'?" if near else ""))
            elif found == row.model.id:
                faults.append(fault + "is the model itself")
            elif found in seen:
                faults.append(fault + "stands there twice")
            seen.add(found or name)


def _check_elsewhere(rows: Sequence[_Row], faults: list[str]) -> None:
    """Who answers in a model's name at an endpoint is a model of the catalogue that is served there."""
    named = {name: row.model for row in rows for name in (row.model.id, *row.model.aliases)}
    for row in rows:
        for endpoint, name in row.model.elsewhere.items():
            found = named.get(name)
            if found is None or endpoint not in found.endpoints:
                fault = "is no model here" if found is None else "is not served there"
                faults.append(f"{row.where}: model '{row.model.id}': elsewhere.{endpoint}: '{name}' {fault}")
