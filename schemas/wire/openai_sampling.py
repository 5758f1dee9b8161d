"""How OpenAI's dialects say how to draw tokens; the last three are vLLM's words."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from schemas.wire.openai_parts import Wire

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""What a number may be on its way through MessagePack and every engine."""


def _one_is_a_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Stop = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_one_is_a_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]


class Sampled(Wire):
    """What a text model can be asked for in every one of them, within the ranges of its catalogue row."""

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: Int64 | None = None
    stop: Stop | None = None
    top_k: Int64 | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
