"""The numbers that are printed, from observations worked by hand."""

import pytest

from benchmarks.figures import Latency, quantile, slope
from benchmarks.growth import Slope
from benchmarks.http_client import Answer
from benchmarks.targets import Bound


def test_a_quantile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert quantile(values, 0.5) == 3.0
    assert quantile(values, 0.99) == 5.0
    assert quantile(values, 0.0) == 1.0


def test_a_slope_is_not_moved_by_one_leap() -> None:
    steady = [(float(x), 100.0 + 3 * x) for x in range(20)]
    assert slope(steady) == pytest.approx(3)
    steady[7] = (7.0, 1e9)
    assert slope(steady) == pytest.approx(3, abs=0.5)


def test_latencies_are_milliseconds_and_differ_figure_by_figure() -> None:
    direct = Latency.of([Answer(0.001, 0.002)] * 3)
    through = Latency.of([Answer(0.004, 0.007)] * 3)
    added = through.less(direct)
    assert (added.first_p50_ms, added.total_p99_ms) == (pytest.approx(3), pytest.approx(5))


@pytest.mark.parametrize(
    ("bytes_per_request", "kept_bytes", "verdict"),
    [(20, None, "flat"), (-500, None, "flat"), (900, None, "grows"), (900, 0.0, "expires"), (900, 850.0, "grows")],
)
def test_only_what_stays_is_growth(bytes_per_request: float, kept_bytes: float | None, verdict: str) -> None:
    assert Slope("part", bytes_per_request, 0, 0, kept_bytes).verdict == verdict


def test_a_part_with_a_limit_may_fill_it_and_no_more() -> None:
    assert Slope("kafka", 900, 200, 300, limit_bytes=300).verdict == "fills"
    assert Slope("kafka", 900, 200, 301, limit_bytes=300).verdict == "grows"


def test_a_bound_without_a_figure_is_not_met() -> None:
    assert Bound("p50", "ms", 4.0, most=4).met
    assert not Bound("p50", "ms", 4.1, most=4).met
    assert Bound("streams", "/s", 300, least=300).met
    assert not Bound("streams", "/s", 299, least=300).met
    assert not Bound("p50", "ms", None, most=4).met
