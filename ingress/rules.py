"""A parameter held to its rule in a model's row, whichever dialect it came in."""

from typing import Any

from schemas.errors import InvalidValue
from schemas.parameters import Rule


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
