"""Numbers that JSON's readers take and that nothing behind the door can hold."""

import pytest

from ingress.translate.validation import read
from schemas.errors import InvalidRequest
from schemas.wire.async_invoke import AsyncInvokeRequest


def body(number: str) -> bytes:
    return b'{"model_id": "flux", "input": {"deep": [{"seed": %s}]}}' % number.encode()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "9223372036854775808", "-9223372036854775809"])
def test_a_number_that_nothing_here_can_hold_is_refused_wherever_it_stands(number: str) -> None:
    with pytest.raises(InvalidRequest, match=number.lstrip("-")):
        read(AsyncInvokeRequest, body(number))


@pytest.mark.parametrize(
    ("number", "value"),
    [("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ('"NaN"', "NaN"), ("1e300", 1e300)],
)
def test_what_only_looks_like_one_passes(number: str, value: object) -> None:
    assert read(AsyncInvokeRequest, body(number)).input == {"deep": [{"seed": value}]}
