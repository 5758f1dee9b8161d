import pytest

from benchmarks.sums import cores, processes


def test_a_part_takes_what_its_streams_and_their_chunks_take() -> None:
    # 1,000 streams a second at 2 ms, and 300 chunks of 10 µs each: 2 cores and 3 cores.
    assert cores("ingress", 1_000, {"ingress": 2.0}, {"ingress": 10.0}) == pytest.approx(5.0)


def test_a_part_that_sees_no_chunks_takes_what_its_streams_take() -> None:
    assert cores("kafka", 10_000, {"kafka": 0.1}, {"ingress": 10.0}) == pytest.approx(1.0)


def test_what_noise_makes_less_than_nothing_is_nothing() -> None:
    assert cores("valkey", 1_000, {"valkey": -0.1}, {"valkey": -3.0}) == 0


def test_a_process_is_given_less_than_a_whole_core() -> None:
    assert [processes(0.0), processes(0.5), processes(0.7), processes(6.0)] == [0, 1, 2, 10]
