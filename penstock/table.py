"""Rows for a person to read, and for `grep`: nothing is cut and nothing drawn around it."""

from collections.abc import Sequence


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them; numbers to the right."""
    cells = [list(titles), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(titles))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return ", ".join(map(str, cell)) or "-" if isinstance(cell, tuple | list) else str(cell)
