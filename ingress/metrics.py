"""What an ingress counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

REQUESTS = Counter("penstock_ingress_requests_total", "Requests by route and status", ["route", "status"])
ERRORS = Counter("penstock_ingress_errors_total", "Answers that were errors, before or in a stream", ["code"])
ACCEPTED = Counter("penstock_ingress_jobs_accepted_total", "Jobs handed to the log", ["model"])
FIRST_CHUNK = Histogram(
    "penstock_ingress_first_chunk_seconds", "From the request until its first chunk", ["model"], buckets=SECONDS
)
OVERHEAD = Histogram(
    "penstock_ingress_overhead_seconds", "The platform's own part of the wait", ["model"], buckets=SECONDS
)
CHUNKS = Counter("penstock_ingress_chunks_total", "Chunks relayed to clients", ["model"])
IN_FLIGHT = Gauge("penstock_ingress_requests_in_flight", "Requests under way")
REPLAYED = Counter("penstock_ingress_replayed_total", "Answers given again for an Idempotency-Key")
JOBS_FOLLOWED = Gauge("penstock_ingress_jobs_followed", "Jobs whose end is awaited, for a client or for its limits")
DISCONNECTS = Counter("penstock_ingress_disconnects_total", "Clients that left before the end")
STALLS = Counter("penstock_ingress_stalls_total", "Clients that were cut because they had stopped reading")
SUBMISSIONS = Counter(
    "penstock_ingress_submissions_total",
    "Submissions from the log, done with: accepted, repeated, refused or dead_lettered",
    ["operation", "outcome"],
)
BATCHES = Counter("penstock_ingress_batches_total", "Batches that have come to a state, each state once", ["state"])
BATCHES_RUN = Gauge("penstock_ingress_batches_run", "Batches that this process runs now")
BATCH_LINES = Counter("penstock_ingress_batch_lines_total", "Lines of batches that have their row", ["end"])
