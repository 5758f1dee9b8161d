"""What can be wrong with a row before its engine has answered anything."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TypeVar

import msgspec

from schemas.catalog import Model

Options = TypeVar("Options", bound=msgspec.Struct)


class SetupError(Exception):
    """A row that no engine can be built from; its message is one line that names the row and the remedy."""


def secret(model: Model, environment: Mapping[str, str]) -> str | None:
    """The secret that `api_key_env` points to; None where the row asks for none. Raises SetupError."""
    name = model.api_key_env
    if name is None:
        return None
    value = environment.get(name, "").strip()
    if not value:
        raise SetupError(f"model '{model.id}': the environment variable {name} (api_key_env) is not set in this worker")
    if not (value.isascii() and value.isprintable()):
        raise SetupError(f"model '{model.id}': the environment variable {name} holds what cannot stand in a header")
    return value


def options(model: Model, kind: type[Options]) -> Options:
    """`engine_options` as the engine's own struct; an unknown name or a wrong type raises SetupError."""
    try:
        return msgspec.convert(model.engine_options, kind)
    except msgspec.ValidationError as exc:
        raise SetupError(f"model '{model.id}': engine_options: {exc}") from exc


def need(model: Model, *packages: str) -> None:
    """Raises SetupError where one of these is not installed; imports none of them."""
    for package in packages:
        if find_spec(package) is None:
            raise SetupError(missing(model, package))


def missing(model: Model, package: str | None) -> str:
    return f"model '{model.id}': engine {model.engine} needs the package '{package}', which is not installed here"
