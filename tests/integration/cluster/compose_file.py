"""What compose.yaml says of each service, read as Docker Compose reads it: as far as this file needs."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
FILE: Final = ROOT / "compose.yaml"

VARIABLE: Final = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?+])([^{}]*))?\}|(\w+))")


class Missing(Exception):
    """A variable that the file insists on is not given."""


@dataclass(frozen=True)
class Service:
    """One service; `after` are the services it waits for, with the condition, `mounts` what lies where in it."""

    name: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    after: Mapping[str, str]
    check: Sequence[str]
    mounts: Mapping[str, str] = field(default_factory=dict)
    profiles: Sequence[str] = ()


def services(given: Mapping[str, str], file: Path = FILE) -> dict[str, Service]:
    """The services that start without a profile, with `given` as the variables; raises Missing."""
    told = _filled(yaml.safe_load(file.read_text()), given)
    configs = {name: each["file"] for name, each in told.get("configs", {}).items() if "file" in each}
    read = [_service(name, each, configs) for name, each in told["services"].items()]
    return {service.name: service for service in read if not service.profiles}


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    """`value` with the variables in all its texts replaced, those in the keys of a mapping left as they are."""
    match value:
        case str():
            return VARIABLE.sub(lambda found: _variable(found, given), value)
        case list():
            return [_filled(each, given) for each in value]
        case dict():
            return {key: _filled(each, given) for key, each in value.items()}
    return value


def _variable(found: "re.Match[str]", given: Mapping[str, str]) -> str:
    dollar, braced, rule, rest, bare = found.groups()
    if dollar:
        return "$"
    name, there = braced or bare, given.get(braced or bare)
    if (rule or "").startswith(":") and not there:
        there = None
    match (rule or "")[-1:]:
        case "?" if there is None:
            raise Missing(f"{name}: {rest}")
        case "-" if there is None:
            return rest
        case "+":
            return "" if there is None else rest
    return there or ""


def _service(name: str, told: Mapping[str, Any], configs: Mapping[str, str]) -> Service:
    check = told.get("healthcheck", {}).get("test", [])
    return Service(
        name=name,
        image=told.get("image", ""),
        command=(*_words(told.get("entrypoint")), *_words(told.get("command"))),
        environment=_environment(told.get("environment", {})),
        after=_after(told.get("depends_on", {})),
        check=("CMD-SHELL", check) if isinstance(check, str) else check,
        mounts=dict(_mounts(told, configs)),
        profiles=told.get("profiles", ()),
    )


def _words(told: str | Sequence[str] | None) -> list[str]:
    return shlex.split(told) if isinstance(told, str) else [str(word) for word in told or ()]


def _environment(told: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    pairs = told.items() if isinstance(told, Mapping) else [line.partition("=")[::2] for line in told]
    return {name: _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    """As the container sees it: YAML's own words for yes and no are refused by Compose and have to be quoted."""
    assert value is not None, "a variable without a value comes from the shell that runs Compose"
    assert not isinstance(value, bool), "a truth value has to be quoted"
    return str(value)


def _after(told: Mapping[str, Mapping[str, Any]] | Sequence[str]) -> dict[str, str]:
    if isinstance(told, Mapping):
        return {name: each.get("condition", "service_started") for name, each in told.items()}
    return dict.fromkeys(told, "service_started")


def _mounts(told: Mapping[str, Any], configs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Path in the container, and in this tree: the files that are mounted, not the volumes that keep data."""
    for volume in told.get("volumes", ()):
        source, target = (volume["source"], volume["target"]) if isinstance(volume, dict) else volume.split(":")[:2]
        if source.startswith((".", "/")):
            yield target, source
    for config in told.get("configs", ()):
        if isinstance(config, dict):
            yield config["target"], configs[config["source"]]
