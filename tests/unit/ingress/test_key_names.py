"""A key may be scoped to an alias as well as to the row's id."""

from ingress.key_names import named_by_id
from schemas.access import AccessKey, Limits
from schemas.catalog import Catalog, Model

FAST = Model.model_validate(
    {
        "id": "fast-1",
        "aliases": ["fast", "org/fast"],
        "engine": "openai_compatible",
        "base_url": "http://a:1/v1",
        "context_tokens": 8192,
        "max_output_tokens": 4096,
    }
)
CATALOG = Catalog([FAST])


def key(models: tuple[str, ...] | None, **limits: Limits) -> AccessKey:
    return AccessKey("k", "a", "n", models, (), 0, None, None, Limits(), limits)


def test_an_alias_in_the_scope_opens_the_row_it_names() -> None:
    assert named_by_id(key(("fast",)), CATALOG).models == ("fast-1",)


def test_a_row_named_twice_is_opened_once() -> None:
    assert named_by_id(key(("fast", "fast-1", "org/fast")), CATALOG).models == ("fast-1",)


def test_a_name_of_no_row_stays_and_opens_nothing_else() -> None:
    assert named_by_id(key(("fats", "fast")), CATALOG).models == ("fats", "fast-1")


def test_a_key_to_all_models_stays_one() -> None:
    unscoped = key(None)
    assert named_by_id(unscoped, CATALOG) == unscoped


def test_limits_under_an_alias_hold_for_the_row() -> None:
    assert named_by_id(key(None, fast=Limits(in_flight=1)), CATALOG).model_limits == {"fast-1": Limits(in_flight=1)}


def test_limits_under_the_id_come_before_those_under_an_alias() -> None:
    under_both = key(None, **{"fast-1": Limits(in_flight=2), "fast": Limits(in_flight=1)})
    assert named_by_id(under_both, CATALOG).model_limits == {"fast-1": Limits(in_flight=2)}
