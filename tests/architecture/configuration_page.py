"""Writes docs/configuration.md from the settings classes: python -m tests.architecture.configuration_page"""

from pathlib import Path

from pydantic_settings import BaseSettings

from ingress.batches.settings import BatchSettings
from ingress.log_door.settings import LogDoorSettings
from ingress.settings import IngressSettings
from penstock.topics import TopicSettings
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import variables
from streams.settings import StreamsSettings
from workers.long.settings import LongSettings
from workers.settings import WorkerSettings
from workers.webhooks.settings import WebhookSettings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

SECTIONS: list[tuple[str, type[BaseSettings]]] = [
    ("Every part: where bytes rest", StorageSettings),
    ("Every part: what it tells about itself", ObserveSettings),
    ("Ingress", IngressSettings),
    ("Log door", LogDoorSettings),
    ("Batches", BatchSettings),
    ("Worker", WorkerSettings),
    ("Dispatcher and jobs worker", LongSettings),
    ("Dispatcher: webhooks", WebhookSettings),
    ("Streams", StreamsSettings),
    ("`penstock topics`, which makes the log's topics", TopicSettings),
]

HEAD = """# Configuration

`penstock up` sets what its parts need. A part that runs alone (`penstock ingress`, `penstock log-door`,
`penstock worker --lane text.default`, `penstock dispatcher --lane video.default`, `penstock jobs-worker`,
`penstock streams`) reads these environment variables; `--help` of each lists its own. Lists are written as JSON.
"""


def page() -> str:
    parts = [HEAD]
    for title, settings in SECTIONS:
        rows = [f"| `{v.name}` | `{v.default}` | {v.description} |" for v in variables(settings)]
        parts.append("\n".join([f"\n## {title}", "| variable | default | meaning |", "|---|---|---|", *rows, ""]))
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
