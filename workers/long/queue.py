"""The Celery application: four short tasks, with Redis as their broker.

A task says only which job to look at. What is to be done, and whether, the job's record says; so a task may come
twice, late or not at all, and the sweep sends another.
"""

from collections.abc import Callable
from typing import Final, Literal

from celery import Celery
from kombu.exceptions import OperationalError

from schemas.errors import Undecidable
from storage.async_record import JobName, Step

QUEUE: Final = "jobs"
KEY_PREFIX: Final = "penstock:celery:"

TASK_S: Final = 60
VISIBILITY_S: Final = 75
"""After so long without an acknowledgement a task is given to another: just longer than one may take."""

Task = Literal["start", "poll", "store", "cancel"]
TASKS: Final[tuple[Task, ...]] = ("start", "poll", "store", "cancel")


def make_app(redis_url: str) -> Celery:
    """An application that has opened nothing; `redis_url` as in the settings."""
    app = Celery("penstock", broker=_broker(redis_url))
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "global_keyprefix": KEY_PREFIX,
            "socket_connect_timeout": 2,
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=TASK_S,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
    )
    if redis_url.startswith("rediss://"):
        app.conf.broker_use_ssl = {"ssl_cert_reqs": "required"}
    return app


def task_name(task: Task) -> str:
    return f"penstock.{task}"


def register(app: Celery, task: Task, do: Callable[[str], None]) -> None:
    """Has `do` called with the job's name as it stands in lists."""

    def run(member: str) -> None:
        do(member)

    app.task(name=task_name(task))(run)


def send(app: Celery, task: Task | Step, name: JobName) -> None:
    """Returns when the broker has the task. Raises Undecidable."""
    try:
        app.send_task(task_name(task), (name.member,))
    except (OperationalError, OSError) as failure:
        raise Undecidable(f"Celery's broker is out of reach: {failure}") from failure


def _broker(url: str) -> str:
    """Celery has names of its own for a socket in a file, and for the number of a database there."""
    if not url.startswith("unix://"):
        return url
    return "redis+socket" + url.removeprefix("unix").replace("?db=", "?virtual_host=")
