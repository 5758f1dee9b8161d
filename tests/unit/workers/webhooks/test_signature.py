"""Webhooks' signatures, against the specification's own example and against independent readers."""

import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from workers.webhooks.signature import signed_headers

SPEC_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SPEC_BODY = b'{"test": 2432232314}'
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_the_specifications_example() -> None:
    # The vector that Standard Webhooks' libraries are tested with.
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SPEC_BODY, [SPEC_SECRET])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("secret", [SPEC_SECRET, OTHER])
def test_openais_client_verifies_either_of_two(secret: str) -> None:
    headers = signed_headers("evt_1", int(time.time()), SPEC_BODY, [SPEC_SECRET, OTHER])
    OpenAI(api_key="none").webhooks.verify_signature(SPEC_BODY.decode(), headers, secret=secret)


def test_openais_client_refuses_another_body() -> None:
    headers = signed_headers("evt_1", int(time.time()), SPEC_BODY, [SPEC_SECRET])
    with pytest.raises(InvalidWebhookSignatureError):
        OpenAI(api_key="none").webhooks.verify_signature('{"test": 1}', headers, secret=SPEC_SECRET)
