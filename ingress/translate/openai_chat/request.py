"""A chat completion's body, read and made canonical."""

from ingress.tokens import output_bound
from ingress.translate.openai_chat.messages import mark, messages_of
from ingress.translate.openai_chat.tools import choice_of, format_of, tool_of
from ingress.translate.sampling import sampling_of
from ingress.translate.validation import read
from schemas.catalog import Model
from schemas.chat import Chat, Extras, Reasoning, Sampling
from schemas.dialects import OPENAI_CHAT
from schemas.wire import openai_chat as wire


def parse(body: bytes) -> wire.ChatCompletionRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(wire.ChatCompletionRequest, body)


def to_chat(request: wire.ChatCompletionRequest, model: Model) -> Chat:
    """The canonical form of a request that `model`'s contract accepts; `metadata` is kept nowhere.

    Total: what the contract would have refused, such as sound, is left out.
    """
    messages = messages_of(request.messages)
    user = request.safety_identifier if request.user is None else request.user
    retention = request.prompt_cache_retention
    return Chat(
        messages=messages,
        sampling=_sampling(request, output_bound(messages, model)),
        user=user,
        tools=tuple(tool_of(tool) for tool in request.tools or ()),
        tool_choice=choice_of(request.tool_choice, _parallel(request, model)),
        response_format=format_of(request.response_format),
        reasoning=_reasoning(request),
        cache=mark(request.cache_control),
        cache_retention="in_memory" if retention == "in-memory" else retention,
        extras=_extras(request),
    )


def _sampling(request: wire.ChatCompletionRequest, bound: int | None) -> Sampling:
    asked = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    return sampling_of(
        request,
        bound if asked is None else asked,
        logit_bias=request.logit_bias,
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs if request.logprobs else None,
        choices=request.n,
    )


def _reasoning(request: wire.ChatCompletionRequest) -> Reasoning | None:
    asked = request.reasoning
    effort = request.reasoning_effort if asked is None or asked.effort is None else asked.effort
    max_tokens = None if asked is None else asked.max_tokens
    return None if effort is None and max_tokens is None else Reasoning(effort, max_tokens)


def _parallel(request: wire.ChatCompletionRequest, model: Model) -> bool | None:
    """What a model is to be told; one that cannot be told calls as it does, which is all that such a row accepts."""
    return request.parallel_tool_calls if "parallel_tools" in model.abilities else None


def _extras(request: wire.ChatCompletionRequest) -> dict[str, Extras] | None:
    key = request.prompt_cache_key
    return None if key is None else {OPENAI_CHAT: {"prompt_cache_key": key}}
