"""What the ingress reads from its environment, besides where bytes rest."""

from typing import Literal

from pydantic import Field, IPvAnyNetwork
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.access import Limits


class IngressSettings(BaseSettings):
    """Each field is the environment variable `PENSTOCK_<FIELD>`; lists are JSON."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on")
    reuse_port: bool = Field(False, description="Share the port with other ingress processes of this machine")
    cors_origins: list[str] = Field([], description="Origins whose pages may call; empty answers no CORS")
    trusted_proxies: list[IPvAnyNetwork] = Field([], description="Networks whose X-Forwarded-For is believed")
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Largest request body; above it, 413")
    max_open_requests: int = Field(4096, ge=1, description="Requests that may be under way in this process")
    max_waiting_per_lane: int = Field(1024, ge=1, description="Jobs of one lane that may wait for their first chunk")
    max_queue_wait_s: float = Field(
        60, gt=0, description="Longest wait in a lane; shed at the door when half of it is expected"
    )
    unserved_s: float = Field(30, gt=0, description="How long no worker may report on a lane until its jobs are shed")
    default_requests_per_min: int = Field(60_000, ge=0, description="Limit of accounts without their own; 0: none")
    default_tokens_per_min: int = Field(60_000_000, ge=0, description="Likewise, tokens")
    default_in_flight: int = Field(2_000, ge=0, description="Likewise, requests at once")
    slot_lease_s: float = Field(30, ge=1, description="How long the slots of an ingress that died stay taken")
    ping_s: float = Field(15, gt=0, description="Silence on a stream after which a ping is sent")
    stall_s: float = Field(60, ge=1, description="How long a client may read nothing of its answer until it is cut")
    body_s: float = Field(
        60, gt=0, description="How long a client may take to send a request's head, and then its body"
    )
    key_ttl_s: float = Field(60, gt=0, description="Age at which a cached access key is looked up again")
    responses_days: int = Field(30, ge=1, description="How long stored responses are kept")
    files_days: int = Field(30, ge=1, description="How long files are kept, and what batches give")
    account_batches: int = Field(64, ge=1, description="Batches of an account that may be under way; above it, 429")
    responses_dialect: Literal["openai", "open_responses"] = Field(
        "openai", description="Whose events /v1/responses sends where the two differ"
    )
    picture_url_s: float = Field(3600, ge=1, description="How long the URL of a picture that was drawn opens it")
    idempotency_wait_s: float = Field(
        30, ge=0, description="How long a request waits for the answer to an earlier one with its Idempotency-Key"
    )
    webhook_networks: list[IPvAnyNetwork] = Field(
        [], description="Networks, beside the public Internet, that callers' webhooks may be in"
    )
    fal_keys: str = Field(
        "https://rest.alpha.fal.ai/.well-known/jwks.json",
        description="Where the keys lie that fal signs its webhooks with; from fal's documentation",
    )
    webhook_http: bool = Field(False, description="Call webhooks without TLS too")
    drain_s: float = Field(8, ge=0, description="How long a stopping ingress waits for its open requests")

    def default_limits(self) -> Limits:
        return Limits(
            requests_per_min=self.default_requests_per_min or None,
            tokens_per_min=self.default_tokens_per_min or None,
            in_flight=self.default_in_flight or None,
        )
