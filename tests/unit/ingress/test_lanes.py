"""Law 6: a lane that cannot meet its deadline gets 503, with Retry-After."""

import logging

import msgspec
import pytest

from ingress.lanes import LaneBoard, LaneState, shed, shed_full
from schemas.lanes import LaneReport

BUDGET_S = 60.0
UNSERVED_S = 30.0


def state(
    slots: int = 10, running: int = 10, lag: int = 0, ended_per_s: float = 1.0, silent_s: float = 0.5
) -> LaneState:
    return LaneState(slots, running, lag, ended_per_s, silent_s)


@pytest.mark.parametrize(
    ("lane", "retry_after_s"),
    [
        pytest.param(state(running=0), None, id="idle"),
        pytest.param(state(running=10), None, id="busy, nobody waits"),
        pytest.param(state(lag=60), None, id="60 wait, one ends a second: just in time"),
        pytest.param(state(lag=90), 30, id="90 wait: half a minute too many"),
        pytest.param(state(lag=1_000, ended_per_s=20), None, id="a fast lane"),
        pytest.param(state(lag=30, ended_per_s=0), None, id="nothing has ended yet, but ten slots will"),
        pytest.param(state(lag=31, ended_per_s=0), 2, id="nothing has ended yet, and too many wait"),
        pytest.param(state(slots=0, running=0, lag=0, silent_s=29), None, id="its worker restarts"),
        pytest.param(state(slots=0, running=0, lag=0, silent_s=31), 5, id="its worker is gone"),
    ],
)
def test_a_lane_is_shed_when_a_job_would_wait_too_long(lane: LaneState, retry_after_s: float | None) -> None:
    overloaded = shed("text.default", lane, BUDGET_S, UNSERVED_S)
    assert (overloaded.retry_after_s if overloaded else None) == retry_after_s


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def payload(worker: str, lane: str = "text.default", **fields: object) -> bytes:
    numbers = {"slots": 4, "running": 3, "lag": 2, "ended_per_s": 1.5, **fields}
    return msgspec.msgpack.encode(LaneReport(lane, worker, **numbers))  # type: ignore[arg-type]


def test_a_lane_is_the_sum_of_its_workers_newest_reports() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    board.heard(payload("a", lag=50))
    board.heard(payload("b"))
    board.heard(payload("c", lane="text.other"))
    clock.now += 1
    board.heard(payload("a"))
    assert board.state("text.default") == LaneState(slots=8, running=6, lag=4, ended_per_s=3.0, silent_s=0)


def test_a_worker_that_falls_silent_no_longer_counts() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    board.heard(payload("a"))
    clock.now += 4
    board.heard(payload("b"))
    clock.now += 2
    assert board.state("text.default") == LaneState(slots=4, running=3, lag=2, ended_per_s=1.5, silent_s=2)


def test_a_lane_never_heard_of_has_been_silent_since_the_board_was_made() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    clock.now += 12
    assert board.state("text.default") == LaneState(slots=0, running=0, lag=0, ended_per_s=0, silent_s=12)


def test_workers_that_come_and_go_under_new_names_are_forgotten() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    for number in range(1_000):
        board.heard(payload(f"worker-{number}"))
        clock.now += 10
    assert len(board._reports["text.default"]) <= 31


def test_a_report_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    board = LaneBoard(Clock())
    board.heard(payload("a"))
    with caplog.at_level(logging.ERROR):
        board.heard(b"\xc1")
    assert [record.message for record in caplog.records] == ["lane_report_unreadable"]
    assert board.state("text.default").slots == 4


def test_what_this_process_put_into_a_lane_since_the_last_report_waits_there_too() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    board.heard(payload("a", slots=4, running=4, lag=10, ended_per_s=8.0))
    clock.now += 0.5
    for _ in range(9):
        board.sent("text.default")
    board.sent("text.other")
    board.sent("text.default")
    board.withdrawn("text.default")
    assert board.state("text.default").lag == 10 + 9 - 4, "four have ended meanwhile"
    board.heard(payload("a", slots=4, running=4, lag=14, ended_per_s=8.0))
    assert board.state("text.default").lag == 14


def test_who_asks_one_thing_after_the_other_makes_nobody_wait_in_a_lane_that_has_no_rate_yet() -> None:
    board = LaneBoard(Clock())
    board.heard(payload("a", slots=2, running=0, lag=0, ended_per_s=0.0))
    for _ in range(50):
        board.sent("text.default")
        assert board.state("text.default").lag == 0
        board.over("text.default")


def test_what_is_over_is_counted_once_as_the_lane_s_rate_or_as_it_was_seen() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    board.heard(payload("a", slots=4, running=4, lag=0, ended_per_s=8.0))
    clock.now += 0.5
    for _ in range(9):
        board.sent("text.default")
    for _ in range(3):
        board.over("text.default")
    assert board.state("text.default").lag == 9 - 4
    for _ in range(3):
        board.over("text.default")
    assert board.state("text.default").lag == 9 - 6


def test_it_takes_what_is_free_first_and_what_waited_is_not_taken_for_gone() -> None:
    clock = Clock()
    board = LaneBoard(clock)
    board.heard(payload("a", slots=4, running=1, lag=0, ended_per_s=2.0))
    board.heard(payload("b", slots=4, running=3, lag=0, ended_per_s=2.0))
    for _ in range(3):
        board.sent("text.default")
    assert board.state("text.default").lag == 0
    for _ in range(3):
        board.sent("text.default")
    assert board.state("text.default").lag == 2
    board.heard(payload("a", lag=5))
    board.heard(payload("b", lag=5))
    clock.now += 2
    assert board.state("text.default").lag == 10


def test_a_model_is_shed_alone_while_its_engine_keeps_the_lane_s_others_waiting_at_every_worker() -> None:
    board = LaneBoard(Clock())
    board.heard(payload("a", full_models=("big", "huge")))
    board.heard(payload("b", full_models=("big",)))
    lane = board.state("text.default")
    full = shed_full("text.default", lane, "big")
    assert full is not None
    assert full.retry_after_s == 1
    assert shed_full("text.default", lane, "huge") is None
    assert shed_full("text.default", lane, "small") is None
    assert shed_full("text.default", board.state("text.other"), "big") is None
