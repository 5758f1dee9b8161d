"""Every lane of the catalogue gets its topic, as the settings want it."""

from penstock.topics import TopicSettings, wanted_topics
from schemas.catalog import Catalog, Model

HOUR_MS = 3_600_000


def model(name: str, lane: str) -> Model:
    return Model(id=name, engine="llama_cpp", lane=lane, context_tokens=8, max_output_tokens=8)


def test_each_lane_has_a_topic_and_usage_outlives_jobs() -> None:
    catalog = Catalog([model("a", "text.default"), model("b", "text.default"), model("c", "text.h100-large")])
    settings = TopicSettings(partitions=7, jobs_kept_h=2, usage_kept_days=3, results_kept_h=5)
    found = {spec.name: (spec.partitions, spec.retention_ms) for spec in wanted_topics(catalog, settings)}
    assert found["penstock.text.default"] == found["penstock.text.h100-large"] == (7, 2 * HOUR_MS)
    assert found["penstock.usage"][1] == found["penstock.dead-letters"][1] == 72 * HOUR_MS
    for name in ("penstock.submissions", "penstock.replies", "penstock.results", "penstock.batch-replies"):
        assert found[name] == (7, 5 * HOUR_MS)
    for name in ("penstock.text.default-batch", "penstock.text.h100-large-batch"):
        assert found[name] == (7, 48 * HOUR_MS), "a batch may take a day"
    assert len(found) == 10
