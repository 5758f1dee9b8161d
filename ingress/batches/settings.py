"""What the runner of batches reads from its environment, besides what every ingress does."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BatchSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_BATCHES_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_BATCHES_", extra="ignore")

    instance: str = Field(
        "", description="Name in its group that a restarted process keeps, and so has its partitions back at once"
    )
    at_once: int = Field(16, ge=1, description="Batches that this process runs at once")
    window: int = Field(512, ge=1, description="Lines of a batch that may be queued or running")
    open: int = Field(1024, ge=1, description="Answers of lines that may be under way in this process")
    cancel_s: float = Field(600, ge=0, description="How long what runs is let end when its batch is cancelled")
    late_s: float = Field(15, ge=0, description="How long after a deadline the answers of workers are waited for")
