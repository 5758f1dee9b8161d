"""Rows for a person to read, and for `grep`: nothing is cut and nothing drawn around it."""

from collections.abc import Sequence


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them; numbers to the right."""
    cells = [list(titles), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    right = [_counts([row[column] for row in rows]) for column in range(len(titles))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def _counts(column: Sequence[object]) -> bool:
    """Whether there are numbers in it, and nothing else."""
    known = [cell for cell in column if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return ", ".join(map(str, cell)) or "-" if isinstance(cell, tuple | list) else str(cell)
