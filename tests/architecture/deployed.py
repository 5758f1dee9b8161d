"""What compose.yaml says, for the tests that hold it to the code."""

from collections.abc import Mapping
from typing import Any, Final, cast

import yaml

from tests.integration.cluster.compose_file import FILE, Service, services

SECRETS: Final = ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD")
GIVEN: Final = {name: f"a-secret-{number}" for number, name in enumerate(SECRETS)}

DOCUMENT: Final = cast(Mapping[str, Any], yaml.safe_load(FILE.read_text()))
WRITTEN: Final = cast(Mapping[str, Mapping[str, Any]], DOCUMENT["services"])
"""The services as they are written, with their variables unread; those of profiles too."""

SERVICES: Final = services(GIVEN)
"""The services that start without a profile, with only what has no default given."""

IMAGE: Final = "penstock:"
PARTS: Final = {name: each for name, each in SERVICES.items() if each.image.startswith(IMAGE)}
STAYING: Final = {name: each for name, each in PARTS.items() if WRITTEN[name]["restart"] != "no"}
"""The parts that run for as long as the platform does."""


def module(part: Service) -> str:
    """What a part's `python -m` names."""
    python, flag, name, *_ = part.command
    assert (python, flag) == ("python", "-m"), part.command
    return name


def seconds(text: str) -> float:
    """A duration as compose.yaml and haproxy.cfg write it."""
    assert text.endswith("s"), text
    return float(text.removesuffix("s"))
