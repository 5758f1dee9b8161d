"""Makes and checks all topics: `penstock topics`, and a step of every start before anything consumes."""

import asyncio
import sys
from dataclasses import replace

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock.step import REFUSED
from schemas.catalog import Catalog
from schemas.errors import PenstockError
from schemas.topics import (
    BATCH_REPLIES,
    DAY_MS,
    HOUR_MS,
    REPLIES,
    RESULTS,
    SUBMISSIONS,
    TopicSpec,
    batch_lane,
    lane_topic,
    platform_topics,
)
from storage.catalog import CatalogError, catalog_files, load_catalog
from storage.kafka_security import Kafka
from storage.settings import StorageSettings
from storage.topics import make_topics


class TopicSettings(BaseSettings):
    """How topics are made; each field is the environment variable `PENSTOCK_TOPICS_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_TOPICS_", extra="ignore")

    partitions: int = Field(4, ge=1, description="Partitions of a lane: as many workers as may share it")
    replication: int = Field(1, ge=1, description="Copies of each partition; 3 on three brokers")
    jobs_kept_h: int = Field(24, ge=1, description="Hours that a lane keeps its jobs; batch lanes, at least 48")
    results_kept_h: int = Field(168, ge=1, description="Hours that submissions, replies and results are kept")
    usage_kept_days: int = Field(30, ge=1, description="Days that usage events and dead letters are kept")


def wanted_topics(catalog: Catalog, settings: TopicSettings) -> list[TopicSpec]:
    """Every topic that this catalogue needs, as the settings want them."""
    lanes = catalog.lanes()
    kept_ms = dict.fromkeys([lane_topic(lane) for lane in lanes], settings.jobs_kept_h * HOUR_MS)
    batches_ms = max(settings.jobs_kept_h * HOUR_MS, 2 * DAY_MS)
    kept_ms |= dict.fromkeys([lane_topic(each) for lane in lanes if (each := batch_lane(lane))], batches_ms)
    kept_ms |= dict.fromkeys([SUBMISSIONS, REPLIES, RESULTS, BATCH_REPLIES], settings.results_kept_h * HOUR_MS)
    usage_ms = settings.usage_kept_days * DAY_MS
    specs = platform_topics(lanes, lane_partitions=settings.partitions)
    return [replace(spec, retention_ms=kept_ms.get(spec.name, usage_ms)) for spec in specs]


def make_all(kafka: str | Kafka, catalog: str, settings: TopicSettings) -> list[str]:
    """Make what the catalogue needs, and return what was changed; raises CatalogError and Undecidable."""
    specs = wanted_topics(load_catalog(catalog_files(catalog)), settings)
    return asyncio.run(make_topics(kafka, specs, replication=settings.replication))


def main() -> int:
    storage = StorageSettings()
    try:
        make_all(storage.cluster, storage.catalog, TopicSettings())
    except (CatalogError, PenstockError) as failure:
        print(failure)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
