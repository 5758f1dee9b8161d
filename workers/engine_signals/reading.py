"""What vLLM tells of itself, read from the text of its metrics.

Its own page calls a gauge `vllm:num_requests_running` (0.32, 2026-11); Ray, which exports the engines of a node on that
node's metrics port, calls it `ray_vllm_num_requests_running` or, in older releases, `ray_vllm:num_requests_running`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_NAMES: Final = (
    b"num_requests_running",
    b"num_requests_waiting",
    b"kv_cache_usage_perc",
    b"gpu_cache_usage_perc",
    b"prompt_tokens_total",
    b"generation_tokens_total",
)
_SERIES: Final = re.compile(rb"(ray_)?vllm[:_](\w+)\{([^}\n]*)\} (\S+)")
_MODEL: Final = re.compile(rb'(?:^|,)model_name="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Reading:
    """How an engine stood, over all its replicas.

    `cache_share` is the fullest one's. `tokens` counts up while anything runs, so that a reading which is like the one
    before it is the same, told twice: Ray exports every few seconds only.
    """

    running: int
    waiting: int
    cache_share: float = 0.0
    tokens: float = 0.0


def read(page: bytes, model: str) -> Reading | None:
    """What a page says of a model, named as its engine names it; None where it says nothing.

    vLLM counts under the first of a model's names, and an adapter under its model's. So on vLLM's own page, where there
    is one model, that one is meant; on Ray's, which has all of a node, it must be called so. Raises ValueError for what
    can be no count.
    """
    named = [(_model_of(labels), rays, name, value) for rays, name, labels, value in _samples(page)]
    names = {name for name, _, _, _ in named}
    wanted = model.encode()
    if wanted not in names:
        if len(names) != 1 or any(rays for _, rays, _, _ in named):
            return None
        (wanted,) = names
    return _reading([(name, _finite(value)) for of, _, name, value in named if of == wanted])


def together(readings: Iterable[Reading]) -> Reading | None:
    """Several replicas' as one engine's; None for none."""
    each = list(readings)
    if not each:
        return None
    return Reading(
        running=sum(one.running for one in each),
        waiting=sum(one.waiting for one in each),
        cache_share=max(one.cache_share for one in each),
        tokens=sum(one.tokens for one in each),
    )


def _samples(page: bytes) -> Iterator[tuple[bytes | None, bytes, bytes, bytes]]:
    """A page has a thousand lines of histograms, of which these few are found without looking at each."""
    for name in _NAMES:
        at = page.find(name + b"{")
        while at >= 0:
            match = _SERIES.match(page, page.rfind(b"\n", 0, at) + 1)
            if match is not None and match[2] == name:
                yield match[1], name, match[3], match[4]
            at = page.find(name + b"{", at + len(name))


def _model_of(labels: bytes) -> bytes:
    found = _MODEL.search(labels)
    return b"" if found is None else found[1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")


def _finite(value: bytes) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value.decode()} is no count")
    return number


def _reading(samples: Sequence[tuple[bytes, float]]) -> Reading | None:
    def values(*names: bytes) -> list[float]:
        return [value for name, value in samples if name in names]

    running, waiting = values(b"num_requests_running"), values(b"num_requests_waiting")
    if not running or not waiting:
        return None
    return Reading(
        running=int(sum(running)),
        waiting=int(sum(waiting)),
        cache_share=max(values(b"kv_cache_usage_perc", b"gpu_cache_usage_perc"), default=0.0),
        tokens=sum(values(b"prompt_tokens_total", b"generation_tokens_total")),
    )
