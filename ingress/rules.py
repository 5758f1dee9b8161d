"""Parameters held to their rules in a model's row, whichever dialect they came in."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from schemas.catalog import Model
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.parameters import Rule


def check_parameters(
    model: Model, request: BaseModel, rules_of: Mapping[str, str], asks_nothing: Mapping[str, Callable[[Any], bool]]
) -> None:
    """Return if `model` has a rule for each parameter of `rules_of` that is given, and it is within it.

    `rules_of` says which rule each is held to; a value that `asks_nothing` needs none. Raises UnsupportedParameter or
    InvalidValue, for the first one.
    """
    rules = model.rules()
    for name, rule_name in rules_of.items():
        value = getattr(request, name)
        if value is None:
            continue
        rule = rules.get(rule_name)
        if rule is not None:
            check_rule(name, value, rule)
        elif not (name in asks_nothing and asks_nothing[name](value)):
            accepted = ", ".join(sorted(each for each, rule in rules_of.items() if rule in rules)) or "none"
            raise UnsupportedParameter(
                f"The model '{model.id}' does not accept '{name}'. Of its kind it accepts: {accepted}.", param=name
            )


def check_rule(name: str, value: Any, rule: Rule) -> None:
    """Return if a parameter that was given is within its bounds. Raises InvalidValue, by the dialect's `name`."""
    match value:
        case bool():
            return
        case int() | float():
            _check_range(name, value, rule)
        case str():
            if rule.values is not None and value not in rule.values:
                raise InvalidValue(f"'{name}' should be one of: {', '.join(rule.values)}.", param=name)
        case list() | dict():
            if not rule.blank and any(isinstance(each, str) and not each.strip() for each in value):
                raise InvalidValue(f"'{name}' should not be white space alone.", param=name)
            if rule.max_items is not None and len(value) > rule.max_items:
                raise InvalidValue(f"'{name}' should hold at most {rule.max_items}; got {len(value)}.", param=name)
            if isinstance(value, dict):
                for each in value.values():
                    _check_range(name, each, rule)


def _check_range(name: str, value: float, rule: Rule) -> None:
    low, high = rule.min, rule.max
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if low is not None and high is not None:
        bounds = f"between {low:g} and {high:g}"
    else:
        bounds = f"at least {low:g}" if low is not None else f"at most {high:g}"
    raise InvalidValue(f"'{name}' should be {bounds}; got {value}.", param=name)
