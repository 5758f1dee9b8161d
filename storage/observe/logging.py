"""Structured logs: an event's name and its fields, one JSON object a line."""

import logging
import sys

import structlog

from storage.settings import ObserveSettings

SILENT = ("aiokafka",)
"""Writes twenty errors a second while a broker is away; whoever asked it for something says so once."""

QUIET = ("uvicorn.access", "kafka", "faust", "mode", "sqlalchemy", "alembic", "celery", "kombu")


def configure(part: str, settings: ObserveSettings) -> None:
    """Sends every logger's records to stderr with the part's name; `extra` becomes fields."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(part),
    ]
    last = structlog.dev.ConsoleRenderer() if settings.log_format == "console" else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _named(part: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["part"] = part
        return event

    return add
