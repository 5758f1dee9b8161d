import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.usage import End, Price, Usage, UsageEvent
from streams.charge import charge, cost_microusd

GPT = Price(input_microusd_per_mtok=250_000, cached_input_microusd_per_mtok=25_000, output_microusd_per_mtok=800_000)
CLAUDE = Price(3_000_000, 300_000, 15_000_000, 3_750_000, 6_000_000)

EVENT = UsageEvent(
    job_id="job_1",
    account="acme",
    key_id="key_1",
    model="m",
    operation="chat",
    lane="text.default",
    end="completed",
    accepted_at_ms=1_790_000_000_000,
    ended_at_ms=1_790_000_001_000,
    queue_wait_ms=2,
    attempt=1,
    usage=Usage(input_tokens=1_000_000, output_tokens=1_000_000),
    price=GPT,
    first_chunk_ms=100,
)


@pytest.mark.parametrize(
    ("usage", "price", "microusd"),
    [
        # A million tokens cost what the price says.
        (Usage(input_tokens=1_000_000), GPT, 250_000),
        (Usage(output_tokens=1_000_000), GPT, 800_000),
        (Usage(input_tokens=1_000_000, cached_input_tokens=1_000_000), GPT, 25_000),
        # 1,200 at 0.25 and 340 at 0.80 a million: 300 + 272 micro-dollars.
        (Usage(input_tokens=1_200, output_tokens=340), GPT, 572),
        # 200 of the 1,200 in full, 1,000 cached: 50 + 25 + 272.
        (Usage(input_tokens=1_200, output_tokens=340, cached_input_tokens=1_000), GPT, 347),
        # Reasoning is part of the output and is not charged again.
        (Usage(input_tokens=1_200, output_tokens=340, reasoning_tokens=300), GPT, 572),
        # One token each of 0.25 and 0.80 micro-dollars: 1.05, rounded once; rounded each on its own it would be 0 + 1.
        (Usage(input_tokens=1, output_tokens=1), GPT, 1),
        # 0.25 + 0.25 makes a half, which goes up; 0.25 alone goes down.
        (Usage(input_tokens=2), GPT, 1),
        (Usage(input_tokens=1), GPT, 0),
        # 3 of 0.5: 1.5 goes up to 2, 5 of 0.5: 2.5 goes up to 3, and not to the even one.
        (Usage(input_tokens=3), Price(500_000, 0, 0), 2),
        (Usage(input_tokens=5), Price(500_000, 0, 0), 3),
        # Just below a half.
        (Usage(input_tokens=1), Price(499_999, 0, 0), 0),
        # A figure that a double would round: 2**53 + 1 tokens at a dollar a token.
        (Usage(input_tokens=2**53 + 1), Price(10**12, 0, 0), (2**53 + 1) * 10**6),
        # More cached than there was input: no more is charged than the input there was.
        (Usage(input_tokens=1_000_000, cached_input_tokens=3_000_000), GPT, 25_000),
        # 100 fresh at 3, 1,000 read at 0.30, 2,000 written at 3.75 for minutes and 500 at 6 for an hour a million:
        # 300 + 300 + 7,500 + 3,000.
        (Usage(3_600, 0, 1_000, 0, False, 2_500, 500), CLAUDE, 11_100),
        # More written than there was input beside what was read: 500 read at 0.30, 500 written at 3.75.
        (Usage(1_000, 0, 500, 0, False, 4_000), CLAUDE, 2_025),
        # More for an hour than was written at all: 1,000 at 6.
        (Usage(1_000, 0, 0, 0, False, 1_000, 3_000), CLAUDE, 6_000),
        (Usage(), GPT, 0),
        (Usage(input_tokens=1_000_000, output_tokens=1_000_000), Price(), 0),
        # Three images at $0.065, 1,234 characters at $15 a million, 4 s of video at $0.10 a second.
        (Usage(units=3), Price(unit="image", unit_microusd_per_million=65_000_000_000), 195_000),
        (Usage(units=1_234), Price(unit="character", unit_microusd_per_million=15_000_000), 18_510),
        (Usage(units=4_000), Price(unit="video_ms", unit_microusd_per_million=100_000_000), 400_000),
    ],
)
def test_a_cost_is_what_was_worked_out_by_hand(usage: Usage, price: Price, microusd: int) -> None:
    assert cost_microusd(usage, price) == microusd


@pytest.mark.parametrize(
    ("end", "first_chunk_ms", "usage", "microusd"),
    [
        ("completed", 100, Usage(1_000, 1_000), 1_050),
        ("completed", None, Usage(1_000, 0), 250),
        ("cancelled", 100, Usage(1_000, 500), 650),
        ("failed", 100, Usage(1_000, 500), 650),
        ("failed", None, Usage(1_000, 0), 0),
        ("cancelled", None, Usage(1_000, 0), 0),
        ("expired", None, Usage(), 0),
    ],
)
def test_nothing_is_charged_before_the_first_output(
    end: End, first_chunk_ms: int | None, usage: Usage, microusd: int
) -> None:
    event = msgspec.structs.replace(EVENT, end=end, first_chunk_ms=first_chunk_ms, usage=usage)
    assert charge(event).cost_microusd == microusd


def test_a_charge_keeps_the_event_as_it_was() -> None:
    assert charge(EVENT).event == EVENT


tokens = st.integers(0, 10**9)
prices = st.builds(Price, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))


usages = st.builds(Usage, tokens, tokens, tokens)


@given(usages, usages, prices)
def test_more_tokens_never_cost_less_and_nothing_is_negative(usage: Usage, more: Usage, price: Price) -> None:
    grown = msgspec.structs.replace(
        usage,
        input_tokens=usage.input_tokens + more.input_tokens,
        output_tokens=usage.output_tokens + more.output_tokens,
    )
    less = cost_microusd(usage, price)
    assert 0 <= less <= cost_microusd(grown, price)
    assert type(less) is int
