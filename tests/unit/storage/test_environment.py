"""A part's help names every variable that configures it."""

from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.environment import argument_parser, variables


class Example(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="THING_")

    port: int = Field(80, description="Where it listens")
    folder: Path = Field(Path("a/b"), description="Where it writes")
    name: str = Field("", description="What it is called")
    must: str = Field(description="What it cannot do without")


EXPECTED = """\
  THING_PORT=80
      Where it listens
  THING_FOLDER=a/b
      Where it writes
  THING_NAME
      What it is called
  THING_MUST
      What it cannot do without"""


def test_each_variable_has_its_name_default_and_meaning() -> None:
    assert variables(Example) == EXPECTED


def test_help_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        argument_parser("thing", "Does things.", Example).parse_args(["--help"])
    assert end.value.code == 0
    assert EXPECTED in capsys.readouterr().out
