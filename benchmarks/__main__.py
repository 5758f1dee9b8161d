"""`python -m benchmarks` measures a stack; or, with a word: embeddings, speech, log-door, gate, gate-vllm,
scale, vllm, micro.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from benchmarks import embeddings, gate, gate_vllm, log_door, scale, speech, vllm
from benchmarks.load import Target
from benchmarks.micro.measure import measure
from benchmarks.parts import PartGone
from benchmarks.run import QUICK, Options, Sizes, run
from benchmarks.show import shown, shown_timings
from benchmarks.stack import CommandFailed
from benchmarks.targets import Bound, bounds


class Outcome(NamedTuple):
    """What was seen, for a program and for a person, and what it is held to."""

    seen: Any
    text: str
    bounds: Sequence[Bound] = ()


def main() -> int:
    """The exit status: 0 when every target is met, 1 when not, 2 when there is nothing to tell."""
    asked = _arguments()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            outcome = runner.run(_until_told(asked))
        except (CommandFailed, PartGone) as failure:
            print(f"benchmarks: {failure}", file=sys.stderr)
            return 2
        except asyncio.CancelledError:
            print("benchmarks: stopped", file=sys.stderr)
            return 2
    print(outcome.text)
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome.seen)))
    return 0 if all(bound.met for bound in outcome.bounds) else 1


async def _until_told(asked: argparse.Namespace) -> Outcome:
    """SIGTERM stops what was started just as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await _measured(asked)


async def _measured(asked: argparse.Namespace) -> Outcome:
    match asked.what:
        case "micro":
            timings = await measure()
            return Outcome(timings, shown_timings(timings))
        case "embeddings":
            shares = await embeddings.measure_embeddings(quick=asked.quick)
            return Outcome(shares, embeddings.shown(shares), embeddings.bounds(shares))
        case "speech":
            firsts = await speech.measure_speech(quick=asked.quick)
            return Outcome(firsts, speech.shown(firsts), speech.bounds(firsts))
        case "gate":
            gated = await gate.measure_gate(quick=asked.quick)
            return Outcome(gated, gate.shown(gated), gate.bounds(gated))
        case "gate-vllm":
            before_vllm = await gate_vllm.measure_gate_vllm(quick=asked.quick)
            return Outcome(before_vllm, gate_vllm.shown(before_vllm), gate_vllm.bounds(before_vllm))
        case "log-door":
            through = await log_door.measure_log_door(quick=asked.quick)
            return Outcome(through, log_door.shown(through), log_door.bounds(through))
        case "scale":
            scaled = await scale.measure_scale(quick=asked.quick)
            return Outcome(scaled, scale.shown(scaled), scale.bounds(scaled))
        case "vllm":
            beside = await vllm.measure_vllm(quick=asked.quick)
            return Outcome(beside, vllm.shown(beside), vllm.bounds(beside))
        case _:
            options = Options(QUICK if asked.quick else Sizes(), tuple(asked.gateway), asked.upstream_port)
            report = await run(options)
            return Outcome(report, shown(report), bounds(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("stack", "embeddings", "speech", "log-door", "gate", "gate-vllm", "scale", "vllm", "micro"),
        default="stack",
        help="what to measure; default: stack",
    )
    parser.add_argument("--quick", action="store_true", help="a small run of 20 s: a look, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was seen to FILE")
    parser.add_argument(
        "--gateway",
        type=_gateway,
        action="append",
        default=[],
        metavar="NAME=BASE_URL,KEY,MODEL",
        help="load another gateway too, which has to ask the benchmark's upstream; may be given more than once",
    )
    parser.add_argument(
        "--upstream-port", type=int, default=0, help="port the upstream listens on, for gateways to be pointed at"
    )
    return parser.parse_args()


def _gateway(text: str) -> Target:
    name, _, rest = text.partition("=")
    base_url, key, model = rest.split(",")
    return Target(name, base_url, key, model)


if __name__ == "__main__":
    sys.exit(main())
