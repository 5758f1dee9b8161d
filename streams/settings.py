"""What streams reads from its environment, besides where bytes rest."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StreamsSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_STREAMS_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_STREAMS_", extra="ignore")

    group: str = Field("penstock-streams", description="Kafka consumer group; all streams processes share it")
    instance: str = Field(
        "", description="Name in the group that a restarted process keeps, and so has its partitions back at once"
    )
    lag_warning: int = Field(
        5_000, ge=1, description="Usage events not yet in the ledger from which a warning is logged"
    )
    stall_s: float = Field(60, gt=0, description="How long events may wait without progress until the process gives up")
