"""The documents say what the code says."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.catalog import Model
from tests.architecture.configuration_page import PAGE, page
from workers import job_registry, registry

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def test_configuration_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.architecture.configuration_page"


ROWS = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
REST_OF_A_ROW: dict[str, Any] = {
    "id": "m",
    "engine": "openai_compatible",
    "base_url": "http://gpu-host:8000/v1",
    "context_tokens": 8192,
    "max_output_tokens": 1024,
}
"""What a page leaves out that shows a part of a row."""


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    links = [link for link in LINK.findall(file.read_text()) if "://" not in link]
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("file", [file for file in DOCS if ROWS.search(file.read_text())], ids=lambda file: file.name)
def test_rows_that_pages_show_are_rows(file: Path) -> None:
    for row in rows(file):
        model = Model.model_validate({**REST_OF_A_ROW, **row})
        (job_registry if model.modality in job_registry.LONG else registry).build(
            model, {model.api_key_env or "": "a-secret"}
        )


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Every row of a page, or the part of one that it shows."""
    for text in ROWS.findall(file.read_text()):
        shown = yaml.safe_load(textwrap.dedent(text))
        if isinstance(shown, dict):
            shown = shown.get("models", [shown])
        yield from shown
