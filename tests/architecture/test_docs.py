"""The documents say what the code says."""

import re
from pathlib import Path

import pytest

from tests.architecture.configuration_page import PAGE, page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def test_configuration_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.architecture.configuration_page"


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda file: str(file.relative_to(ROOT))
)
def test_links_lead_somewhere(file: Path) -> None:
    links = [link for link in LINK.findall(file.read_text()) if "://" not in link]
    assert [link for link in links if not (file.parent / link).exists()] == []
