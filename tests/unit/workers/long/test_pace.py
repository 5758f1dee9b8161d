from workers.long.pace import poll_ms, retry_ms


def test_looks_come_apart_up_to_eight_seconds() -> None:
    assert [poll_ms(polls) for polls in range(4)] == [500, 700, 980, 1372]
    assert poll_ms(9) == poll_ms(100_000) == 8_000


def test_an_engine_says_itself_when_to_ask_again_within_reason() -> None:
    assert poll_ms(0, 3) == poll_ms(50, 3) == 3_000
    assert poll_ms(0, 0) == 500
    assert poll_ms(0, 3_600) == 30_000


def test_pauses_double_up_to_half_a_minute_less_up_to_a_quarter_by_chance() -> None:
    assert [retry_ms(tries, None, 0) for tries in (1, 2, 3, 6, 1000)] == [1_000, 2_000, 4_000, 30_000, 30_000]
    assert retry_ms(1, None, 0.999) == 750
    assert retry_ms(1, 5, 0.5) == 5_000
    assert retry_ms(1, 3_600, 0) == 30_000
