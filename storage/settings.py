"""The settings every part reads, once, at its composition root."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.kafka_security import Kafka, Mechanism, Security


class StorageSettings(BaseSettings):
    """Where bytes rest; each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma separated")
    kafka_security: Security = Field("plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl")
    kafka_sasl_mechanism: Mechanism = Field("SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_username: str = Field("", description="Who we are to Kafka, with SASL")
    kafka_password: SecretStr = Field(SecretStr(""), description="Its password")
    kafka_ca_file: str = Field("", description="PEM of the authorities trusted with TLS; empty: the system's")
    kafka_cert_file: str = Field("", description="PEM of our own certificate, where Kafka asks for one")
    kafka_key_file: str = Field("", description="PEM of its private key, if it is not in the same file")
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

    @property
    def cluster(self) -> Kafka:
        """How Kafka is reached."""
        return Kafka(
            self.kafka,
            self.kafka_security,
            self.kafka_sasl_mechanism,
            self.kafka_username,
            self.kafka_password.get_secret_value(),
            self.kafka_ca_file,
            self.kafka_cert_file,
            self.kafka_key_file,
        )


class ObserveSettings(BaseSettings):
    """What a part tells about itself; each field is the environment variable `PENSTOCK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore")

    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: str = Field("json", description="json, or console for a person")
    metrics_host: str = Field("127.0.0.1", description="Address of /metrics, /healthz, /readyz of each process")
    metrics_port: int = Field(0, description="Their port; 0 opens none, and an ingress has them on its own port too")
    otlp_endpoint: str = Field("", description="OTLP/HTTP endpoint for traces; empty sends none")
