"""What the dispatcher and the worker of long jobs read from their environment, besides where bytes rest."""

import os
import socket

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LongSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    worker_name: str = Field(
        default_factory=lambda: f"dispatcher-{socket.gethostname()}-{os.getpid()}",
        description="Name that a restarted dispatcher keeps; unique among those that run",
    )
    long_slots: int = Field(64, ge=1, description="Long jobs of one lane that engines may have at once")
    long_steps: int = Field(8, ge=1, le=256, description="Steps of long jobs that one jobs worker does at once")
    long_keep_s: float = Field(
        86_400, ge=0, description="How long a long job can be read after its end, or after its files are gone"
    )
