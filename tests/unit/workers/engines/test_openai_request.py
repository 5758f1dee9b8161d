"""Bodies as OpenAI's reference for chat completions has them."""

import json

from schemas.chat import Chat, Message, Sampling, Text
from workers.engines.openai_request import Shape, body, encode

HELLO = Message("user", (Text("Hello!"),))


def test_the_least() -> None:
    assert body(Shape("gpt-x"), Chat((HELLO,))) == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_most() -> None:
    sampling = Sampling(
        max_output_tokens=256,
        temperature=0.0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        frequency_penalty=-1.0,
        presence_penalty=0.0,
        repetition_penalty=1.1,
        logit_bias={"50256": -100.0},
        logprobs=True,
        top_logprobs=0,
        seed=0,
        stop=("\n", "END"),
        choices=2,
    )
    sent = json.loads(encode(body(Shape("gpt-x"), Chat((HELLO,), sampling, user="u-1"))))
    del sent["messages"], sent["stream"], sent["stream_options"], sent["model"]
    assert sent == {
        "max_tokens": 256,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 40,
        "min_p": 0.05,
        "frequency_penalty": -1.0,
        "presence_penalty": 0.0,
        "repetition_penalty": 1.1,
        "logit_bias": {"50256": -100.0},
        "logprobs": True,
        "top_logprobs": 0,
        "seed": 0,
        "stop": ["\n", "END"],
        "n": 2,
        "user": "u-1",
    }


def test_what_a_row_can_change() -> None:
    shape = Shape("o", max_tokens_field="max_completion_tokens", developer_role="developer", continuous_usage=True)
    sent = body(shape, Chat((Message("developer", (Text("Be brief."),)),), Sampling(max_output_tokens=9)))
    assert sent["max_completion_tokens"] == 9
    assert "max_tokens" not in sent
    assert sent["messages"] == [{"role": "developer", "content": "Be brief."}]
    assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_messages() -> None:
    chat = Chat(
        (
            Message("developer", (Text("Be brief."),)),
            Message("user", (Text("One"), Text("Two")), name="ann"),
            Message("assistant", (Text(""),)),
        )
    )
    assert body(Shape("m"), chat)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}], "name": "ann"},
        {"role": "assistant", "content": ""},
    ]
