import pytest

from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, Finish, ReasoningDelta, TextDelta, UsageReport
from schemas.usage import End, Usage
from workers.meter import MOST_TOKENS, Meter

CHAT = Chat((Message("system", (Text("12345678"),)), Message("user", (Text("1234"), Text("éé")))))
ESTIMATED_INPUT = 4
"""16 bytes, four a token."""


def metered(*deltas: Delta) -> Meter:
    meter = Meter(CHAT)
    for delta in deltas:
        meter.add((delta,))
    return meter


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "expired"])
def test_what_the_engine_counted_is_billed_however_it_ended(end: End) -> None:
    counted = Usage(11, 3, 5)
    assert metered(TextDelta("a"), UsageReport(Usage(11, 1)), UsageReport(counted)).usage(end) == counted


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_nothing_is_billed_before_the_first_output(end: End) -> None:
    assert metered().usage(end) == Usage()
    assert metered(UsageReport(Usage(11, 0))).usage(end) == Usage()


def test_a_completion_without_output_is_billed_for_its_input() -> None:
    assert metered(Finish("stop"), UsageReport(Usage(11, 0))).usage("completed") == Usage(11, 0)


def test_an_explicit_zero_is_a_zero() -> None:
    """LL#37992."""
    assert metered(TextDelta("a"), UsageReport(Usage(0, 0))).usage("completed") == Usage(0, 0)


def test_output_the_client_never_saw_is_billed_where_the_engine_counted_it() -> None:
    assert metered(UsageReport(Usage(11, 40, 0, 40))).usage("cancelled") == Usage(11, 40, 0, 40)


def test_an_engine_cut_off_before_it_counted_is_estimated_and_says_so() -> None:
    meter = metered(TextDelta("a"), ReasoningDelta("b"), TextDelta("c"), Finish("stop"))
    assert meter.usage("cancelled") == Usage(ESTIMATED_INPUT, 3, estimated=True)
    assert meter.output_tokens == 3


@pytest.mark.parametrize(
    ("told", "billed"),
    [
        (Usage(-1, -1, -1, -1), Usage()),
        (Usage(2**70, 1), Usage(MOST_TOKENS, 1)),
        (Usage(1, 2, estimated=True), Usage(1, 2, estimated=True)),
    ],
)
def test_what_no_engine_counts_is_not_billed(told: Usage, billed: Usage) -> None:
    assert metered(TextDelta("a"), UsageReport(told)).usage("completed") == billed
