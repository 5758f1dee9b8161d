"""vLLM's own load generator, `vllm bench serve`, in vLLM's environment: a round for each line of standard input.

A line is a `vllm_load.Round` in JSON, its answer a line with a `vllm_load.Seen`. The arguments are the tokenizer's
folder and a file ending in .jsonl for the questions. What the generator says goes to standard error. The command itself
cannot be used: it asks for the metadata of a package named vllm, and the build for the CPU has another name.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from vllm.benchmarks import serve
from vllm.utils.argparse_utils import FlexibleArgumentParser


def arguments(asked: dict[str, Any], tokenizer: str, questions: Path) -> list[str]:
    return [
        *("--backend", "openai-chat", "--base-url", asked["url"], "--endpoint", "/v1/chat/completions"),
        *("--header", f"Authorization=Bearer {asked['key']}"),
        *("--model", asked["model"], "--tokenizer", tokenizer),
        *("--dataset-name", "custom", "--dataset-path", str(questions), "--custom-output-len", "-1"),
        *("--skip-chat-template", "--disable-shuffle"),
        *("--num-prompts", str(len(asked["questions"])), "--max-concurrency", str(asked["at_once"])),
        *("--save-detailed", "--disable-tqdm"),
    ]


def seen(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "answered": result["completed"],
        "failed": result["failed"],
        "input_tokens": result["total_input_tokens"],
        "output_tokens": result["total_output_tokens"],
        "tokens_per_s": result["output_throughput"],
        "first_ms": result["median_ttft_ms"],
        "first_failure": next(filter(None, result["errors"]), None),
    }


def main() -> None:
    tokenizer, questions = sys.argv[1], Path(sys.argv[2])
    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    for line in sys.stdin:
        asked = json.loads(line)
        questions.write_text("".join(json.dumps(question) + "\n" for question in asked["questions"]))
        with contextlib.redirect_stdout(sys.stderr):
            result = asyncio.run(serve.main_async(parser.parse_args(arguments(asked, tokenizer, questions))))
        print(json.dumps(seen(result)), flush=True)


if __name__ == "__main__":
    main()
