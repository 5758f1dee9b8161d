"""What the log's door reads from its environment, besides what every ingress does."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogDoorSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_LOG_DOOR_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_LOG_DOOR_", extra="ignore")

    instance: str = Field(
        "", description="Name in its groups that a restarted process keeps, and so has its partitions back at once"
    )
    open: int = Field(512, ge=1, description="Submissions, and as many replies, that may be under way in this process")
    patience_s: float = Field(
        30, ge=0, description="How long a submission waits for a lane that is full, or a store, until it is refused"
    )
