"""Every part that compose.yaml starts is a program of the code, and is told what that program reads."""

import os
import re
import subprocess
import sys

import pytest
from pydantic_settings import BaseSettings

from ingress.batches.settings import BatchSettings
from ingress.log_door.settings import LogDoorSettings
from ingress.settings import IngressSettings
from penstock.topics import TopicSettings
from storage.catalog import load_catalog
from storage.local.ports import free_port
from storage.observe.exposition import exposed
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import variables
from storage.settings_read import read_settings
from streams.settings import StreamsSettings
from tests.architecture.deployed import (
    DOCUMENT,
    PARTS,
    STAYING,
    WRITTEN,
    seconds,
)
from tests.integration.cluster.compose_file import ROOT
from workers.long.settings import LongSettings
from workers.settings import WorkerSettings
from workers.webhooks.settings import WebhookSettings

SETTINGS: list[type[BaseSettings]] = [
    StorageSettings,
    ObserveSettings,
    IngressSettings,
    LogDoorSettings,
    BatchSettings,
    WorkerSettings,
    LongSettings,
    WebhookSettings,
    StreamsSettings,
    TopicSettings,
]

USED_UP = 2
"""The exit status of a program that does not take its arguments."""


def environment(part: str, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **PARTS[part].environment, **more}


def start(part: str, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """A part as its container would start it, until it ends."""
    command = [sys.executable, *PARTS[part].command[1:], *words]
    told = environment(part, **more)
    return subprocess.run(command, env=told, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def commands() -> list[str]:
    """One of the parts for each command that starts with `python -m`."""
    told = {each.command: name for name, each in PARTS.items() if each.command[0] == "python"}
    return sorted(told.values())


@pytest.mark.parametrize("part", commands())
def test_every_part_is_a_program_that_takes_its_arguments(part: str) -> None:
    # It reads its arguments before it finds that its settings cannot be; where it stops tells how far it came.
    done = start(part, PENSTOCK_KAFKA_SECURITY="no-such-security")
    assert done.returncode == 1, done.stderr
    assert "kafka_security" in (done.stdout + done.stderr).lower()


def test_a_part_that_does_not_take_its_arguments_is_noticed() -> None:
    assert start("dispatcher", "--no-such-flag", PENSTOCK_KAFKA_SECURITY="no-such-security").returncode == USED_UP


def test_migrate_runs_commands_that_there_are() -> None:
    shell, flag, script = PARTS["migrate"].command
    assert (shell, flag) == ("sh", "-c")
    ran = re.findall(r"python (-m \S+ \S+)", script)
    assert ran == ["-m penstock.administer migrate", "-m penstock.administer topics"]
    for words in ran:
        subprocess.run([sys.executable, *words.split(), "--help"], check=True, capture_output=True, cwd=ROOT)
    subprocess.run([shell, "-n", flag, script], check=True)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_every_variable_is_a_setting_and_can_be_read(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {name: value for name, value in PARTS[part].environment.items() if name.startswith("PENSTOCK_")}
    known = {variable.name for settings in SETTINGS for variable in variables(settings)}
    assert own.keys() <= known
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    for settings in SETTINGS:
        read_settings(settings)


@pytest.mark.parametrize("part", commands())
def test_what_a_part_is_told_beyond_the_others_it_reads(part: str) -> None:
    shared = set(DOCUMENT["x-environment"])
    told = {name for name in PARTS[part].environment.keys() - shared if name.startswith("PENSTOCK_")}
    assert told <= set(re.findall(r"PENSTOCK_\w+", start(part, "--help").stdout))


def test_every_part_is_asked_whether_it_is_ready() -> None:
    checks = {name: each.check for name, each in STAYING.items()}
    (check,) = set(map(tuple, checks.values()))
    command, python, *words = check
    assert (command, python) == ("CMD", "python")
    port = free_port()
    observe = ObserveSettings(metrics_port=port)

    def asked(ready: bool) -> int:
        with exposed(observe, lambda: ready):
            asking = [sys.executable, *(word.replace(":9100/", f":{port}/") for word in words)]
            return subprocess.run(asking, capture_output=True, check=False).returncode

    assert ":9100/" in " ".join(words)
    assert (asked(True), asked(False)) == (0, 1)
    assert {each.environment["PENSTOCK_METRICS_PORT"] for each in PARTS.values()} == {"9100"}


def test_what_stops_has_the_time_to_answer_what_it_has() -> None:
    for name, part in STAYING.items():
        drain_s = float(part.environment["PENSTOCK_DRAIN_S"])
        assert seconds(WRITTEN[name]["stop_grace_period"]) >= drain_s + 10, name
    proxy = (ROOT / "deploy" / "proxy" / "haproxy.cfg").read_text()
    (hard,) = re.findall(r"hard-stop-after (\S+)", proxy)
    assert drain_s < seconds(hard) < seconds(WRITTEN["proxy"]["stop_grace_period"])


def test_no_part_can_do_more_than_it_must() -> None:
    for name in PARTS:
        each = WRITTEN[name]
        allowed = {rule: each[rule] for rule in ("read_only", "cap_drop", "security_opt")}
        assert allowed == {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}, name


def test_every_lane_of_the_catalogue_is_served() -> None:
    catalog = load_catalog([ROOT / PARTS["dispatcher"].mounts["/etc/penstock/catalog.yaml"]])
    words = [word for part in PARTS.values() for word in zip(part.command, part.command[1:], strict=False)]
    assert {lane for flag, lane in words if flag == "--lane"} == set(catalog.lanes())
