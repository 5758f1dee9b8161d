"""What a worker counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

JOBS = Counter("penstock_worker_jobs_total", "Jobs by how they ended", ["lane", "model", "end"])
RETRIES = Counter("penstock_worker_engine_retries_total", "Tries at an engine that were repeated", ["model", "code"])
FAILOVERS = Counter("penstock_worker_failovers_total", "Answers given by a fallback", ["asked", "answered", "code"])
REFUSED = Counter("penstock_worker_jobs_not_run_total", "Jobs taken that never reached an engine", ["lane", "end"])
SHED = Counter("penstock_worker_jobs_shed_total", "Jobs that had waited too long to be run", ["lane"])
WEBHOOKS = Counter("penstock_worker_webhooks_total", "Calls of webhooks by what came of them", ["outcome"])
DEAD_LETTERS = Counter("penstock_worker_dead_letters_total", "Messages set aside", ["lane"])
CHUNKS = Counter("penstock_worker_output_chunks_total", "Chunks of output", ["model"])
QUEUE_WAIT = Histogram(
    "penstock_worker_queue_wait_seconds", "From acceptance until an engine was asked", ["lane"], buckets=SECONDS
)
FIRST_CHUNK = Histogram(
    "penstock_worker_first_chunk_seconds", "From acceptance until the first chunk", ["model"], buckets=SECONDS
)
RUNNING = Gauge("penstock_worker_running_jobs", "Jobs that an engine works on", ["lane"])
SLOTS = Gauge("penstock_worker_slots", "Jobs that may run at once", ["lane"])
ENGINE_SLOTS = Gauge(
    "penstock_worker_engine_slots", "Jobs that this worker gives an engine at once, by what that tells", ["model"]
)
ENGINE_WAITING = Gauge(
    "penstock_worker_engine_waiting_requests", "Requests that wait inside an engine, as it told last", ["model"]
)
LAG = Gauge("penstock_worker_lag_messages", "Jobs of the lane that wait for a slot", ["lane"])
STEPS = Histogram("penstock_worker_long_step_seconds", "Steps of long jobs", ["step"], buckets=SECONDS)
REPLICA_OUTSTANDING = Gauge(
    "penstock_replica_outstanding",
    "Requests of this worker under way at one of several addresses",
    ["model", "address"],
)
REPLICA_STATE = Gauge(
    "penstock_replica_state", "Whether requests go to an address: 0 yes, 1 one on trial, 2 no", ["model", "address"]
)
REPLICA_REQUESTS = Counter(
    "penstock_replica_requests_total",
    "Requests by the address they went to and what came of them",
    ["model", "address", "result"],
)
