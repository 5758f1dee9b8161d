"""Sampling made canonical, as all of OpenAI's dialects say it."""

from collections.abc import Mapping

from schemas.chat import Sampling
from schemas.wire.openai_sampling import Sampled


def sampling_of(
    asked: Sampled,
    max_output_tokens: int | None,
    *,
    logprobs: bool,
    top_logprobs: int | None,
    logit_bias: Mapping[str, float] | None = None,
    choices: int | None = None,
) -> Sampling:
    """What all dialects call the same comes from `asked`; the rest each has words of its own for, or none."""
    return Sampling(
        max_output_tokens=max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        repetition_penalty=asked.repetition_penalty,
        logit_bias=dict(logit_bias) if logit_bias else None,
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        seed=asked.seed,
        stop=tuple(asked.stop or ()),
        choices=choices or 1,
    )
