"""Tables and money as a person reads them."""

import pytest

from penstock.money import dollars
from penstock.table import table


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    rows = [("short", 7, None), ("rather longer", 1200, ("a", "b"))]
    assert table(("name", "tokens", "models"), rows).splitlines() == [
        "name           tokens  models",
        "short               7  -",
        "rather longer    1200  a, b",
    ]


def test_numbers_stand_to_the_right_although_some_are_missing() -> None:
    assert table(("tokens", "none"), [(7, None), (None, None)]).splitlines() == [
        "tokens  none",
        "     7  -",
        "     -  -",
    ]


def test_a_table_without_rows_is_its_titles() -> None:
    assert table(("id", "name"), []) == "id  name"


@pytest.mark.parametrize(
    ("microusd", "text"), [(0, "0.000000"), (1, "0.000001"), (1_500, "0.001500"), (12_000_000, "12.000000")]
)
def test_money_is_exact_to_the_micro_dollar(microusd: int, text: str) -> None:
    assert dollars(microusd) == text
