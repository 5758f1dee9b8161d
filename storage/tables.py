"""The database's tables as SQLAlchemy knows them; `storage/migrations` brings a database to this shape."""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("id", String, primary_key=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("requests_per_min", BigInteger),
    Column("tokens_per_min", BigInteger),
    Column("in_flight", BigInteger),
)

MODEL_LIMITS: Final = Table(
    "model_limits",
    METADATA,
    Column("account", String, ForeignKey(ACCOUNTS.c.id), primary_key=True),
    Column("model", String, primary_key=True),
    Column("requests_per_min", BigInteger),
    Column("tokens_per_min", BigInteger),
    Column("in_flight", BigInteger),
)

ACCESS_KEYS: Final = Table(
    "access_keys",
    METADATA,
    Column("id", String, primary_key=True),
    Column("account", String, ForeignKey(ACCOUNTS.c.id), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("models", JSON(none_as_null=True)),
    Column("networks", JSON, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
)

WEBHOOK_SECRETS: Final = Table(
    "webhook_secrets",
    METADATA,
    Column("account", String, ForeignKey(ACCOUNTS.c.id), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("secret", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

LEDGER: Final = Table(
    "ledger",
    METADATA,
    Column("job_id", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("model", String, nullable=False),
    Column("operation", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("end", String, nullable=False),
    Column("error_code", String),
    Column("day", Date, nullable=False),
    Column("accepted_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Column("queue_wait_ms", BigInteger, nullable=False),
    Column("first_chunk_ms", BigInteger),
    Column("attempt", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("input_microusd_per_mtok", BigInteger, nullable=False),
    Column("cached_input_microusd_per_mtok", BigInteger, nullable=False),
    Column("output_microusd_per_mtok", BigInteger, nullable=False),
    Column("cost_microusd", BigInteger, nullable=False),
    Column("cache_written_input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_written_1h_input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_written_input_microusd_per_mtok", BigInteger, nullable=False, server_default="0"),
    Column("cache_written_1h_input_microusd_per_mtok", BigInteger, nullable=False, server_default="0"),
    Column("units", BigInteger, nullable=False, server_default="0"),
    Column("unit", String, nullable=False, server_default=""),
    Column("unit_microusd_per_million", BigInteger, nullable=False, server_default="0"),
)

# Everything that a usage report reads, so that it never touches the rows themselves.
Index(
    "ix_ledger_usage",
    LEDGER.c.account,
    LEDGER.c.day,
    LEDGER.c.model,
    LEDGER.c.input_tokens,
    LEDGER.c.cached_input_tokens,
    LEDGER.c.output_tokens,
    LEDGER.c.cost_microusd,
    LEDGER.c.units,
    LEDGER.c.unit,
)
