from typing import Any

import pytest

from ingress.listing import Order, page_of
from schemas.errors import InvalidValue

ITEMS: list[dict[str, Any]] = [{"id": each} for each in "abcde"]


@pytest.mark.parametrize(
    ("limit", "order", "after", "ids", "more"),
    [
        (20, "asc", None, "abcde", False),
        (5, "asc", None, "abcde", False),
        (2, "asc", None, "ab", True),
        (2, "asc", "b", "cd", True),
        (2, "asc", "c", "de", False),
        (2, "asc", "e", "", False),
        (2, "desc", None, "ed", True),
        (2, "desc", "b", "a", False),
    ],
)
def test_a_page(limit: int, order: Order, after: str | None, ids: str, more: bool) -> None:
    page = page_of(ITEMS, limit, order, after)
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (list(ids), more)
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


def test_after_what_is_not_there() -> None:
    with pytest.raises(InvalidValue) as caught:
        page_of(ITEMS, 20, "asc", "z")
    assert caught.value.param == "after"
