"""The command line: `penstock`, or `python -m penstock`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from penstock.detach import COMPLAINT, start_detached, stop_running
from penstock.foreground import run_in_foreground
from penstock.options import DEFAULT_DATA, DEFAULT_HOST, DEFAULT_PORT, StackOptions
from penstock.programs import ADMINISTRATION, DEMO, PARTS, SERVE_MODELS, add_program
from penstock.progress import plain_progress
from penstock.run_file import Run, read_run
from schemas.errors import InvalidValue
from storage.local.failure import StartFailed
from storage.local.kafka_install import install_kafka
from storage.local.ports import free_port
from storage.ready import started

NOT_RUNNING: Final = 3
"""Exit status of `status` where nothing runs, as init scripts have it."""

Data = Annotated[Path, typer.Option("--data", help="Folder that holds the stack's keys, jobs, ledger and logs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]

app = typer.Typer(
    help="Penstock: many models behind one base URL and one key.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    *,
    data: Data = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="Address the ingress listens on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="Port the ingress listens on; 0 takes a free one.")] = DEFAULT_PORT,
    catalog: Annotated[list[Path] | None, typer.Option(help="Catalogue file; may be given more than once.")] = None,
    ingress: Annotated[int, typer.Option(min=1, help="Ingress processes, which share the port.")] = 1,
    text_workers: Annotated[int, typer.Option(min=1, help="Text worker processes.")] = 1,
    streams: Annotated[int, typer.Option(min=1, help="Processes that keep the ledger.")] = 1,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the stack is ready; penstock down stops it.")
    ] = False,
    as_json: AsJson = False,
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT of Kafka, in place of the embedded one.")] = None,
    redis: Annotated[str | None, typer.Option(help="URL of Redis or Valkey, in place of the embedded one.")] = None,
    database: Annotated[str | None, typer.Option(help="URL of the database, in place of SQLite.")] = None,
    objects: Annotated[str | None, typer.Option(help="s3://BUCKET/PREFIX, in place of a folder.")] = None,
    public_url: Annotated[str | None, typer.Option(help="Where clients reach the ingress, for URLs of files.")] = None,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Start the whole stack and keep it running: parts that die are started again."""
    options = StackOptions(
        data=data.resolve(),
        host=host,
        port=port or free_port(host),
        catalog=tuple(catalog or ()),
        ingress=ingress,
        text_workers=text_workers,
        streams=streams,
        kafka=kafka,
        redis=redis,
        database=database,
        objects=objects,
        public_url=public_url,
    )
    options.check_addresses()
    options.make_folders()
    if detach:
        if kafka is None:
            asyncio.run(install_kafka(plain_progress))
        _announce(start_detached(options), as_json=as_json)
        return

    def announce(run: Run) -> None:
        # In the background the output is a file, and a key has no place there.
        if not background:
            _announce(run, as_json=as_json)
        started()

    run_in_foreground(options, _tell, plain_progress, announce)


@app.command()
def down(data: Data = DEFAULT_DATA) -> None:
    """Stop the stack of a data folder."""
    print(f"stopped {data}" if stop_running(data) else f"nothing runs in {data}")


@app.command()
def status(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show what runs in a data folder; exit status 3 where nothing does."""
    run = read_run(data)
    if as_json:
        print(msgspec.json.encode({"running": run is not None, **(msgspec.to_builtins(run) if run else {})}).decode())
    elif run is None:
        print(f"nothing runs in {data}")
    else:
        print(f"{run.base_url}  {'ready' if run.ready else 'starting'}")
        for part in run.parts:
            pid = f"pid {part.pid or '-'}"
            print(f"{part.name:<14} {part.state:<10} {pid:<11} restarts {part.restarts:<3} {part.address}")
    if run is None:
        raise typer.Exit(NOT_RUNNING)


def main() -> None:
    """What goes wrong on this machine is one line and exit status 1; anything else is a fault of ours."""
    for program in (DEMO, *ADMINISTRATION, SERVE_MODELS, *PARTS):
        add_program(app, program)
    try:
        app()
    except (InvalidValue, StartFailed) as failure:
        print(f"{COMPLAINT}{failure}", file=sys.stderr)
        sys.exit(1)


def _tell(line: str) -> None:
    print(line, flush=True)


def _announce(run: Run, *, as_json: bool) -> None:
    key = Path(run.key_file).read_text().strip()
    if as_json:
        _tell(json.dumps({"base_url": run.base_url, "key": key, "data": run.data, "kafka": run.kafka}))
    else:
        _tell(f"{'base URL':<14} {run.base_url}")
        _tell(f"{'key':<14} {key}")


if __name__ == "__main__":
    main()
