import pytest

from ingress.tokens import estimate_input_tokens, output_bound, reserve_tokens
from schemas.catalog import Model
from schemas.chat import Chat, Message, Sampling, Text

MODEL = Model(id="m", engine="llama_cpp", context_tokens=2048, max_output_tokens=512)


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user", (Text(text),)) for text in texts)


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [(("",), 5), (("x" * 400,), 105), (("x" * 400, "y" * 400), 209), (("é" * 200,), 105), (("😀" * 100,), 105)],
)
def test_the_input_is_about_a_token_for_four_bytes_and_four_a_message(texts: tuple[str, ...], tokens: int) -> None:
    assert estimate_input_tokens(Chat(said(*texts))) == tokens


@pytest.mark.parametrize(("length", "bound"), [(0, 512), (1464, 512), (1465, None), (100_000, None)])
def test_the_models_maximum_is_asked_for_only_if_it_fits_at_a_token_a_byte(length: int, bound: int | None) -> None:
    # 2048 of context - 512 of output - 8 for the message - 64 for the template leave 1464 bytes.
    assert output_bound(said("x" * length), MODEL) == bound


@pytest.mark.parametrize(
    ("length", "sampling", "tokens"),
    [
        (400, Sampling(max_output_tokens=100), 205),
        (400, Sampling(max_output_tokens=100, choices=3), 405),
        (400, Sampling(), 105 + 512),
        (7000, Sampling(), 2048),
        (100_000, Sampling(), 25_006),
    ],
)
def test_a_reservation_covers_the_input_and_all_the_output_there_may_be(
    length: int, sampling: Sampling, tokens: int
) -> None:
    assert reserve_tokens(Chat(said("x" * length), sampling), MODEL) == tokens
