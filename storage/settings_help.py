"""The environment variables of settings classes, told from the classes themselves."""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings


class Variable(NamedTuple):
    """One environment variable; `default` as it would be written in the environment."""

    name: str
    default: str
    description: str


def variables(settings: type[BaseSettings]) -> list[Variable]:
    prefix = str(settings.model_config.get("env_prefix", ""))
    return [
        Variable(f"{prefix}{name}".upper(), _written(field.default), field.description or "")
        for name, field in settings.model_fields.items()
    ]


def parser(program: str, description: str | None, settings: Sequence[type[BaseSettings]]) -> argparse.ArgumentParser:
    """An argument parser whose --help lists every variable that the program reads."""
    rows = [variable for each in settings for variable in variables(each)]
    lines = [f"  {row.name}\n      {row.description}  [{row.default}]" for row in rows]
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog="environment variables, with their defaults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _written(default: object) -> str:
    if default is PydanticUndefined:
        return "its own"
    if isinstance(default, bool):
        return "1" if default else "0"
    return "[]" if default == [] else str(default) or "empty"
