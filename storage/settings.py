"""The settings every part reads, once, at its composition root."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageSettings(BaseSettings):
    """Where bytes rest; each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma separated")
    redis: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey; redis://, rediss:// or unix://")
    database: str = Field("sqlite:///.penstock/penstock.db", description="SQLite or PostgreSQL, as a SQLAlchemy URL")
    objects: str = Field(".penstock/objects", description="Object storage: a folder, or s3://bucket/prefix")
    objects_secret: SecretStr = Field(SecretStr(""), description="Signs a folder's URLs; empty: one in the folder")
    s3_endpoint: str = Field("", description="URL of the S3 server; empty: AWS's own")
    s3_public_endpoint: str = Field("", description="The same as clients reach it; empty: likewise")
    s3_region: str = Field("", description="Region of the bucket; empty: AWS_DEFAULT_REGION, or us-east-1")
    s3_connections: int = Field(16, ge=1, description="Requests to S3 at once, for each process")
    s3_lifecycle: bool = Field(True, description="Have rules in the bucket that delete what nobody did")
    public_url: str = Field("http://127.0.0.1:8080", description="Where clients reach the ingress, as URLs name it")
    catalog: str = Field("", description="The operator's catalogue files, separated like PATH")


class ObserveSettings(BaseSettings):
    """What a part tells about itself; each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: str = Field("json", description="json, or console for a person")
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics, /healthz, /readyz of each process")
    metrics_port: int = Field(0, description="Their port; 0 opens none, and an ingress has them on its own port too")
    otlp_endpoint: str = Field("", description="OTLP/HTTP endpoint for traces; empty sends none")
