"""The documents say what the code says."""

from tests.architecture.configuration_page import PAGE, page


def test_configuration_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.architecture.configuration_page"
