"""Commands that are programs of their own: this process becomes them, and pays for loading nothing else."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import typer

from storage.local.failure import MissingWheel


@dataclass(frozen=True)
class Program:
    """A command of `penstock` and the words after `python` that it stands for."""

    name: str
    module: str
    help: str
    words: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Packages that only some installations have."""


PARTS: Final = (
    Program("ingress", "ingress", "Run one ingress alone, with the addresses of outside servers."),
    Program("log-door", "ingress.log_door", "Run one of the log's doors alone: submissions and results through Kafka."),
    Program("batches", "ingress.batches", "Run one of the runners of batches alone."),
    Program("worker", "workers", "Run one worker alone: penstock worker --lane text.default."),
    Program("dispatcher", "workers.dispatch", "Run one dispatcher alone: penstock dispatcher --lane video.default."),
    Program("jobs-worker", "workers.jobs_worker", "Run one worker of long jobs' steps alone."),
    Program("streams", "streams", "Run streams alone: usage events to ledger and metrics."),
)

ADMINISTRATION: Final = tuple(
    Program(name, "penstock.administer", meaning, (name,))
    for name, meaning in {
        "keys": "Create, list and revoke model access keys.",
        "limits": "Set what an account may use in a minute and at once.",
        "models": "Show the catalogue.",
        "usage": "Show an account's use and its price, by day and model.",
        "webhooks": "Show and renew the secrets that webhooks are signed with.",
        "topics": "Make all topics and check them, before anything consumes.",
        "migrate": "Bring the database to the newest schema.",
    }.items()
)

SERVE_MODELS: Final = Program("serve-models", "workers.ray_serve", "Serve models on our own GPUs: plan, check, deploy.")

DEMO: Final = Program(
    "demo", "penstock.demo", "Start a stack, stream an answer, show its charge, make a video, stop.", needs=("openai",)
)


def add_program(app: typer.Typer, program: Program) -> None:
    """Make `program` a command of `app`; all its arguments, --help among them, are the program's own."""
    app.command(
        program.name,
        help=program.help,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(_become(program))


def _become(program: Program) -> Callable[[typer.Context], None]:
    def become(context: typer.Context) -> None:
        for package in program.needs:
            if find_spec(package) is None:
                raise MissingWheel(package)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-P", "-m", program.module, *program.words, *context.args])

    return become
