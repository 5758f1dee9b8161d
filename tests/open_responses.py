"""Holds responses and their streams to the Open Responses specification, version 2026-04-24.

Written from the specification: which fields an object has, which events come in what order, that they are numbered
without a gap, and that what was said piece by piece is what is said in the end. Names of reasoning's events and the
shape of an error are OpenAI's unless `open_responses` asks for the specification's own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Check = Callable[[Any], bool]
Body = Mapping[str, Any]


def _is(*kinds: type | None) -> Check:
    """Of one of these types and no other: a bool is no number here."""
    return lambda value: type(value) in {type(None) if kind is None else kind for kind in kinds}


NUMBER: Final = _is(int, float)
RESPONSE: Final[Mapping[str, Check]] = {
    "id": _is(str),
    "object": lambda value: value == "response",
    "created_at": _is(int),
    "completed_at": _is(int, None),
    "status": lambda value: value in {"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"},
    "incomplete_details": lambda value: value is None or type(value["reason"]) is str,
    "model": _is(str),
    "previous_response_id": _is(str, None),
    "instructions": _is(str, None),
    "output": _is(list),
    "error": lambda value: value is None or (type(value["code"]), type(value["message"])) == (str, str),
    "tools": lambda value: all(tool.keys() >= TOOL_FIELDS and tool["type"] == "function" for tool in value),
    "tool_choice": lambda value: (
        value in ("none", "auto", "required")
        or (value["type"] == "function" and value["name"])
        or (value["type"] == "allowed_tools" and value["tools"] and value["mode"])
    ),
    "truncation": lambda value: value in ("auto", "disabled"),
    "parallel_tool_calls": _is(bool),
    "text": lambda value: value["format"]["type"] in ("text", "json_object", "json_schema"),
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "top_logprobs": _is(int),
    "temperature": NUMBER,
    "reasoning": lambda value: value is None or {"effort", "summary"} <= value.keys(),
    "usage": lambda value: value is None or _usage(value),
    "max_output_tokens": _is(int, None),
    "max_tool_calls": _is(int, None),
    "store": _is(bool),
    "background": _is(bool),
    "service_tier": _is(str),
    "metadata": _is(dict),
    "safety_identifier": _is(str, None),
    "prompt_cache_key": _is(str, None),
}
TOOL_FIELDS: Final = {"type", "name", "description", "parameters", "strict"}

STATUS: Final[Check] = lambda value: value in ("in_progress", "completed", "incomplete")  # noqa: E731
ITEMS: Final[Mapping[str, Mapping[str, Check]]] = {
    "message": {
        "id": _is(str),
        "status": STATUS,
        "role": lambda value: value in ("user", "assistant", "system", "developer"),
        "content": _is(list),
    },
    "function_call": {"id": _is(str), "status": STATUS, "call_id": _is(str), "name": _is(str), "arguments": _is(str)},
    "function_call_output": {"id": _is(str), "status": STATUS, "call_id": _is(str), "output": _is(str, list)},
    "reasoning": {"id": _is(str), "summary": _is(list)},
}
PARTS: Final[Mapping[str, Mapping[str, Check]]] = {
    "input_text": {"text": _is(str)},
    "output_text": {"text": _is(str), "annotations": _is(list)},
    "reasoning_text": {"text": _is(str)},
    "summary_text": {"text": _is(str)},
    "refusal": {"refusal": _is(str)},
    "input_image": {"image_url": _is(str, None), "detail": lambda value: value in ("low", "high", "auto")},
    "input_file": {},
}
TERMINAL: Final = {"response.completed", "response.incomplete", "response.failed"}


def check_response(body: Body) -> None:
    """Every field that a response must have, of the type it must have, its items among them."""
    _check_fields(body, RESPONSE, "response")
    for item in body["output"]:
        check_item(item)
    status = body["status"]
    assert (body["completed_at"] is not None) == (status == "completed"), "completed_at"
    assert (body["error"] is not None) == (status == "failed"), "error"
    assert (body["incomplete_details"] is not None) == (status == "incomplete"), "incomplete_details"
    assert status not in ("completed", "incomplete") or body["usage"] is not None, "usage"


def check_item(item: Body) -> None:
    assert item["type"] in ITEMS, item["type"]
    _check_fields(item, ITEMS[item["type"]], item["type"])
    for part in item.get("content") or ():
        check_part(part)


def check_part(part: Body) -> None:
    assert part["type"] in PARTS, part["type"]
    _check_fields(part, PARTS[part["type"]], part["type"])


def check_stream(text: str, *, after: int = -1, open_responses: bool = False) -> list[dict[str, Any]]:
    """The events of a whole stream, if it is one; `after` is the number that it was asked to go on from."""
    events = _parsed(text)
    assert [event["sequence_number"] for event in events] == list(range(after + 1, after + 1 + len(events)))
    if after < 0:
        _Lifecycle(open_responses).check(events)
    return events


def _parsed(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n\ndata: [DONE]\n\n"), "the stream ends with [DONE]"
    events = []
    for block in text.removesuffix("data: [DONE]\n\n").removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        name, data = block.splitlines()
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}", "event and type are one"
        events.append(event)
    return events


class _Lifecycle:
    """What is open at each event, and what was said in it."""

    def __init__(self, open_responses: bool) -> None:
        self._open_responses = open_responses
        reasoning = "response.reasoning" if open_responses else "response.reasoning_text"
        self._kinds = {
            "response.output_text": ("output_text", "text"),
            "response.refusal": ("refusal", "refusal"),
            reasoning: ("reasoning_text", "text"),
        }
        self._items: list[dict[str, Any]] = []
        self._done: dict[int, Body] = {}
        self._parts: dict[tuple[int, int], dict[str, Any]] = {}
        self._errors: list[Body] = []

    def check(self, events: Sequence[dict[str, Any]]) -> None:
        kinds = [event["type"] for event in events]
        opening = kinds.index("response.in_progress")
        assert kinds[:opening] in (["response.created"], ["response.created", "response.queued"])
        assert [kind for kind in kinds if kind in TERMINAL] == kinds[-1:], "one end, and it is the last"
        for event in events[: opening + 1]:
            self._check_snapshot(event)
            assert event["response"]["output"] == []
        for event in events[opening + 1 : -1]:
            self._step(event)
        self._finish(events[-1])
        assert len({event["response"]["id"] for event in events if "response" in event}) == 1

    def _step(self, event: dict[str, Any]) -> None:
        base, _, what = event["type"].rpartition(".")
        match event["type"]:
            case "error":
                self._error(event)
            case "response.output_item.added":
                self._item_added(event)
            case "response.output_item.done":
                self._item_done(event)
            case "response.content_part.added":
                self._part_added(event)
            case "response.content_part.done":
                self._part_done(event)
            case "response.function_call_arguments.delta":
                self._item(event)["arguments"] += event["delta"]
            case "response.function_call_arguments.done":
                assert event["arguments"] == self._item(event)["arguments"]
                self._item(event)["closed"] = True
            case _:
                kind, field = self._kinds[base]
                part = self._part(event)
                assert part["type"] == kind
                if what == "delta":
                    part["said"] += event["delta"]
                else:
                    assert (what, event[field]) == ("done", part["said"])
                    part["closed"] = True

    def _error(self, event: Body) -> None:
        told = event["error"] if self._open_responses else event
        assert {"code", "message", "param"} <= told.keys()
        assert not self._open_responses or type(told["type"]) is str
        self._errors.append(event)

    def _item_added(self, event: Body) -> None:
        item = event["item"]
        check_item(item)
        assert event["output_index"] == len(self._items), "items are numbered as they come"
        assert item.get("status", "in_progress") == "in_progress"
        assert not item.get("content"), "an item's content is added to it, not with it"
        assert item.get("arguments", "") == ""
        assert item["id"] not in {other["id"] for other in self._items}
        self._items.append({**item, "closed": item["type"] != "function_call"})

    def _item_done(self, event: Body) -> None:
        item, index = event["item"], event["output_index"]
        check_item(item)
        begun = self._items[index]
        assert index not in self._done
        assert begun["closed"]
        assert (item["id"], item["type"]) == (begun["id"], begun["type"])
        assert item.get("status", "completed") in ("completed", "incomplete")
        parts = [part for place, part in self._parts.items() if place[0] == index]
        assert all("done" in part for part in parts), "an item ends after its parts"
        assert item.get("content", []) == [part["done"] for part in parts]
        assert item.get("arguments") == begun.get("arguments")
        assert item.get("call_id") == begun.get("call_id")
        self._done[index] = item

    def _part_added(self, event: Body) -> None:
        check_part(event["part"])
        self._item(event)
        index, place = event["output_index"], event["content_index"]
        assert place == sum(1 for known in self._parts if known[0] == index)
        part = event["part"]
        assert part.get("text", part.get("refusal")) == ""
        self._parts[index, place] = {"type": part["type"], "said": "", "closed": False}

    def _part_done(self, event: Body) -> None:
        check_part(event["part"])
        part = self._parts[event["output_index"], event["content_index"]]
        assert part["closed"]
        assert "done" not in part
        assert event["part"].get("text", event["part"].get("refusal")) == part["said"]
        part["done"] = event["part"]

    def _item(self, event: Body) -> dict[str, Any]:
        item = self._items[event["output_index"]]
        assert event["item_id"] == item["id"]
        assert event["output_index"] not in self._done, "nothing is said in an item that has ended"
        return item

    def _part(self, event: Body) -> dict[str, Any]:
        self._item(event)
        part = self._parts[event["output_index"], event["content_index"]]
        assert not part["closed"]
        return part

    def _finish(self, event: Body) -> None:
        response = self._check_snapshot(event)
        output = response["output"]
        assert [item["id"] for item in output] == [item["id"] for item in self._items]
        if event["type"] == "response.failed":
            assert response["status"] == "cancelled" or self._errors
            return
        assert event["type"] == f"response.{response['status']}"
        assert not self._errors
        assert output == [self._done[index] for index in range(len(self._items))], "all that was done, and only that"

    def _check_snapshot(self, event: Body) -> Body:
        response: Body = event["response"]
        check_response(response)
        if event["type"] == "response.in_progress":
            assert response["status"] == "in_progress"
        return response


def _check_fields(body: Body, fields: Mapping[str, Check], what: str) -> None:
    missing = fields.keys() - body.keys()
    assert not missing, f"{what} lacks {sorted(missing)}"
    for name, check in fields.items():
        assert check(body[name]), f"{what}.{name} is {body[name]!r}"


def _usage(usage: Body) -> bool:
    counts = [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]
    counts += [usage["input_tokens_details"]["cached_tokens"], usage["output_tokens_details"]["reasoning_tokens"]]
    return all(type(count) is int for count in counts) and counts[0] + counts[1] == counts[2]
