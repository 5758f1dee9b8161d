"""`penstock up` from outside: what a person types, what they see, and what is left when it has stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from openai import AuthenticationError, OpenAI
from prometheus_client.parser import text_string_to_metric_families

from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from tests.flow.command_line import Detached, command, json_of, penstock, runs
from tests.waiting import until

MODEL: Final = "smollm2-135m-instruct"
STOP_S: Final = 10.0
BACK_S: Final = 60.0
"""Long, for a machine that is busy with other things; how soon a broker is back is tested where it is alone."""

REVOKED_S: Final = 1.0

SERVERS: Final = {"kafka", "valkey"}
PARTS: Final = {"ingress", "text-worker", "media-worker", "long-jobs", "log-and-batches", "streams"}

pytestmark = pytest.mark.usefixtures("kafka_program")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> Iterator[Detached]:
    running = Detached.up(tmp_path_factory.mktemp("up"))
    try:
        yield running
    finally:
        penstock("down", "--data", running.data)


def ask(base_url: str, key: str) -> str:
    """Stream a short answer from the embedded model with OpenAI's client."""
    with OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        stream = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, stream=True
        )
        return "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)


def is_refused(base_url: str, key: str) -> bool:
    try:
        ask(base_url, key)
    except AuthenticationError:
        return True
    return False


def used(data: Path, account: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json_of("usage", "--account", account, "--data", data)["data"]
    return rows


def jobs_accepted(metrics_url: str) -> float:
    text = httpx2.get(metrics_url, trust_env=False).raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "penstock_ingress_jobs_accepted_total")


def test_a_key_made_on_the_command_line_opens_and_closes_the_door(stack: Detached) -> None:
    key = json_of("keys", "create", "--account", "team", "--data", stack.data)
    assert ask(stack.base_url, key["key"])
    until(lambda: [row["requests"] for row in used(stack.data, "team")] == [1], 30)
    row = used(stack.data, "team")[0]
    assert row["model"] == MODEL
    assert 0 < row["output_tokens"] <= 8

    assert penstock("keys", "revoke", key["id"], "--data", stack.data).returncode == 0
    until(lambda: is_refused(stack.base_url, key["key"]), REVOKED_S)


def test_status_shows_each_part_and_its_address(stack: Detached) -> None:
    status = json_of("status", "--data", stack.data)
    parts = {part["name"]: part for part in status["parts"]}
    assert set(parts) >= SERVERS | PARTS
    assert {part["state"] for part in status["parts"]} == {"running"}
    assert parts["kafka"]["address"] == stack.kafka
    assert status["base_url"] == stack.base_url
    assert all(runs(part["pid"]) for part in status["parts"])


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_a_video_is_made_without_any_setting_up(stack: Detached) -> None:
    with OpenAI(base_url=stack.base_url, api_key=stack.key, max_retries=0) as client:
        video = client.videos.create_and_poll(model="storyboard-video", prompt="A heron", poll_interval_ms=100)
        assert (video.status, video.error) == ("completed", None)
        assert client.videos.download_content(video.id).read()[4:8] == b"ftyp"


def test_only_the_owner_can_read_the_key(stack: Detached) -> None:
    assert (stack.data / "key").stat().st_mode & 0o777 == 0o600
    assert (stack.data / "key").read_text().strip() == stack.key
    assert all(stack.key not in log.read_text() for log in (stack.data / "logs").iterdir())


def test_a_second_start_on_a_running_folder_is_one_clear_line(stack: Detached) -> None:
    done = penstock("up", "--port=0", "--data", stack.data)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"penstock: a stack runs in {stack.data} already: penstock down --data {stack.data} stops it\n"
    )
    assert stack.run().ready


def test_a_worker_that_is_killed_is_started_again_and_one_line_says_so(stack: Detached) -> None:
    before = stack.part("text-worker")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: is_back(stack, "text-worker"), BACK_S)
    assert stack.part("text-worker").pid != before.pid
    lines = (stack.data / "logs" / "up.log").read_text().splitlines()
    assert [line for line in lines if "killed" in line and "text-worker" in line] == [
        "text-worker was killed by SIGKILL; it is started again in 0.2 s"
    ]
    assert ask(stack.base_url, stack.key)


def test_a_broker_that_is_killed_is_back_at_its_address(stack: Detached) -> None:
    before = stack.part("kafka")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: is_back(stack, "kafka"), BACK_S)
    assert stack.part("kafka").address == before.address
    assert ask(stack.base_url, stack.key)


def is_back(stack: Detached, name: str) -> bool:
    part = stack.part(name)
    return part.restarts == 1 and part.state == "running"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_second_start_finds_keys_and_ledger_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    first = Detached.up(tmp_path)
    ask(first.base_url, first.key)
    until(lambda: used(tmp_path, "default"), 30)
    pids = first.pids()
    first.down()
    assert not any(runs(pid) for pid in pids)
    assert penstock("status", "--data", tmp_path).returncode == 3

    words = command("up", "--port", str(free_port()), "--data", tmp_path)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as second:
        assert second.stdout is not None
        shown = []
        while not shown or not shown[-1].startswith("key"):
            shown.append(second.stdout.readline())
            assert shown[-1], "it ended"
        pids = first.pids()
        second.send_signal(signal.SIGINT)
        told_s = time.monotonic()
        rest = second.communicate(timeout=STOP_S)[0]
    assert second.returncode == 0
    assert time.monotonic() - told_s < STOP_S
    assert rest == "stopping\n"
    assert not any(runs(pid) for pid in pids)
    assert {line.split()[0] for line in shown[:-2]} >= SERVERS | PARTS
    assert shown[-1].split() == ["key", first.key]
    assert [row["requests"] for row in used(tmp_path, "default")] == [1]


def test_who_kills_the_supervisor_kills_the_stack(tmp_path: Path) -> None:
    running = Detached.up(tmp_path)
    supervisor, *parts = running.pids()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not any(runs(pid) for pid in parts), STOP_S)
    assert penstock("status", "--data", tmp_path).returncode == 3


@pytest.mark.slow
def test_servers_of_ones_own_take_the_place_of_the_embedded_ones(tmp_path: Path, kafka: str, redis_url: str) -> None:
    database = f"sqlite:///{tmp_path}/elsewhere.db"
    running = Detached.up(
        tmp_path / "data", "--kafka", kafka, "--redis", redis_url, "--database", database, "--ingress=2"
    )
    try:
        assert running.kafka == kafka
        names = {part.name for part in running.run().parts}
        assert {"ingress-1", "ingress-2", "text-worker", "media-worker", "streams"} <= names
        assert not names & SERVERS
        assert ask(running.base_url, running.key)
        # Each process of the shared port tells its own at an address of its own.
        doors = [running.part(f"ingress-{number}").address.rpartition(" ")[2] for number in (1, 2)]
        assert sorted(jobs_accepted(url) for url in doors) == [0, 1]
        until(lambda: used(running.data, "default"), 30)
        assert (tmp_path / "elsewhere.db").exists()
        assert not (running.data / "penstock.db").exists()
    finally:
        running.down()


@pytest.mark.parametrize("part", ["ingress", "worker", "streams"])
def test_the_help_of_a_part_lists_its_environment(part: str) -> None:
    done = penstock(part, "--help")
    assert done.returncode == 0
    assert {"PENSTOCK_KAFKA", "PENSTOCK_REDIS", "PENSTOCK_LOG_LEVEL"} <= set(done.stdout.split())


def test_a_port_that_is_taken_is_one_clear_line(stack: Detached, tmp_path: Path) -> None:
    port = stack.base_url.split(":")[2].removesuffix("/v1")
    for mode in ((), ("--detach",)):
        done = penstock("up", "--port", port, "--data", tmp_path, *mode)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"penstock: port {port} of 127.0.0.1 is taken: choose another with --port\n"


def test_an_address_that_cannot_be_read_is_one_clear_line_and_no_folder_is_made(tmp_path: Path) -> None:
    done = penstock("up", "--redis", "localhost:6379", "--data", tmp_path / "data")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Write redis://HOST:PORT/NUMBER" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_wrong_row_is_named_with_file_line_and_reason(tmp_path: Path) -> None:
    catalog = tmp_path / "mine.yaml"
    catalog.write_text(
        "models:\n  - id: m\n    engine: llama_cpp\n    context_tokens: many\n    max_output_tokens: 8\n"
    )
    done = penstock("up", "--port=0", "--detach", "--data", tmp_path / "data", "--catalog", catalog)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"penstock: {catalog}:4: model 'm': context_tokens ")
    assert done.stderr.count("\n") == 1


def test_a_part_that_dies_at_start_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    catalog = tmp_path / "mine.yaml"
    catalog.write_text(
        "models:\n  - {id: m, engine: openai_compatible, base_url: 'http://127.0.0.1:9/v1', "
        "api_key_env: NOT_SET_ANYWHERE, context_tokens: 64, max_output_tokens: 8}\n"
    )
    done = penstock("up", "--port=0", "--data", tmp_path / "data", "--catalog", catalog)
    assert done.returncode == 1
    log = tmp_path / "data" / "logs" / "text-worker.log"
    assert done.stderr == (
        "penstock: text-worker did not start: model 'm': the environment variable NOT_SET_ANYWHERE (api_key_env) "
        f"is not set in this worker (log: {log})\n"
    )
    assert penstock("status", "--data", tmp_path / "data").returncode == 3
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
