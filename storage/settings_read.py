"""Reading settings from the environment, with a message for whoever wrote the environment."""

from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from schemas.errors import InvalidValue

Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings of this kind. Raises InvalidValue with the variable's name and what is wrong with its value."""
    try:
        return kind()
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        raise InvalidValue(f"{_variable(kind, str(first['loc'][0]))}: {first['msg']}.") from fault
    except SettingsError as fault:
        # Of a list it is known only that it is no JSON, and in words, which field it was.
        raise InvalidValue(f"{kind.__name__}: {fault}; lists are written as JSON.") from fault


def _variable(kind: type[BaseSettings], field: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()
