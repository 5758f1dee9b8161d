"""Catalogues of pools and rows, and the plans they make."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from storage.catalog import read_catalog
from workers.ray_serve.plan import Plan, make_plan


def write(folder: Path, rows: Sequence[str], *, pool: str = "", pools: str | None = None) -> Path:
    """A file of one pool of 8 H100, whose further fields are `pool`, with a row for each `serving` in `rows`."""
    text = pools or dedent(f"""\
        pools:
          - name: h100
            accelerator: H100
            accelerators_per_node: 8
            clusters: [{{url: "http://ray:8000", dashboard: "http://ray:8265"}}]
            {pool}
        """)
    text += "builtin: false\nmodels:\n"
    for number, serving in enumerate(rows):
        text += (
            f"  - id: m{number}\n    engine: vllm\n    context_tokens: 4096\n    max_output_tokens: 1024\n"
            f"    serving: {{weights: org/m{number}, pool: h100, {serving}}}\n"
        )
    file = folder / "rows.yaml"
    file.write_text(text)
    return file


def plan_of(folder: Path, *rows: str, pool: str = "", pools: str | None = None) -> Plan:
    return make_plan(read_catalog([write(folder, rows, pool=pool, pools=pools)]))
