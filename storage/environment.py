"""A part's command line, whose help lists the environment variables that configure it."""

import argparse
import os
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings


def argument_parser(program: str, description: str, *settings: type[BaseSettings]) -> argparse.ArgumentParser:
    """A parser without arguments of its own; `--help` shows every variable of `settings`, its default and meaning."""
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"environment variables:\n{variables(*settings)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def variables(*settings: type[BaseSettings]) -> str:
    """One variable in two lines: its name with its default, and what it means."""
    lines = []
    for kind in settings:
        prefix = kind.model_config.get("env_prefix", "")
        for name, field in kind.model_fields.items():
            lines += [f"  {(prefix + name).upper()}{_default(field)}", f"      {field.description or ''}"]
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    """Empty where the default is nothing, or depends on the process."""
    value = field.default
    if value is PydanticUndefined or value is None or value == "":
        return ""
    return f"={os.fspath(value) if isinstance(value, Path) else value}"
