"""Writes docs/schemas/*.json from the messages' types: python -m tests.architecture.schema_files"""

import json
from pathlib import Path

from schemas.wire.submissions import Result, Submission, schema

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def files() -> dict[str, str]:
    """The text of every file, by its name."""
    kinds: dict[str, type[Submission] | type[Result]] = {"submission.json": Submission, "result.json": Result}
    return {name: json.dumps(schema(kind), indent=2) + "\n" for name, kind in kinds.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
