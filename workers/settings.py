"""What a worker reads from its environment, besides where bytes rest."""

import os
import socket

from pydantic import Field, IPvAnyNetwork
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    worker_name: str = Field(
        default_factory=lambda: f"worker-{socket.gethostname()}-{os.getpid()}",
        description="Name that a restarted worker keeps; unique among those that run",
    )
    slots: int = Field(128, ge=1, description="Jobs that may run at once on a lane whose engines set no bound")
    max_queue_wait_s: float = Field(
        60, gt=0, description="Longest wait in a lane; a job that somebody waits for is shed when it is nearly over"
    )
    batch_share: float = Field(
        0.5, ge=0, le=1, description="Share of a lane's slots that its batches may hold of what is left free; 0: none"
    )
    fetch_networks: list[IPvAnyNetwork] = Field(
        [], description="Networks, beside the public Internet, that callers' URLs of images may lead to"
    )
    fetch_http: bool = Field(False, description="Fetch such URLs without TLS too")
    fetch_s: float = Field(15, gt=0, description="How long fetching one of them may take")
    drain_s: float = Field(8, ge=0, description="How long a stopping worker waits for its running jobs")
