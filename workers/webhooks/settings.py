"""What calling webhooks reads from the environment."""

from pydantic import Field, IPvAnyNetwork
from pydantic_settings import BaseSettings, SettingsConfigDict


class WebhookSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    webhook_networks: list[IPvAnyNetwork] = Field(
        [], description="Networks, beside the public Internet, that callers' webhooks may be in"
    )
    webhook_http: bool = Field(False, description="Call webhooks without TLS too")
    webhook_s: float = Field(15, gt=0, description="How long a webhook's receiver may take to answer")
    webhook_retry_s: float = Field(
        5, gt=0, description="Wait before a webhook is called again; the last of nine waits is 5760 times as long"
    )
