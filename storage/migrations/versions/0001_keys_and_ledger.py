"""Accounts, their keys and limits, and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("requests_per_min", sa.BigInteger),
        sa.Column("tokens_per_min", sa.BigInteger),
        sa.Column("in_flight", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "model_limits",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("requests_per_min", sa.BigInteger),
        sa.Column("tokens_per_min", sa.BigInteger),
        sa.Column("in_flight", sa.BigInteger),
        sa.PrimaryKeyConstraint("account", "model", name="pk_model_limits"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_model_limits_account"),
    )
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True)),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_access_keys"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_access_keys_account"),
        sa.UniqueConstraint("secret_sha256", name="uq_access_keys_secret_sha256"),
    )
    op.create_index("ix_access_keys_account", "access_keys", ["account"])
    op.create_table(
        "ledger",
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("operation", sa.String, nullable=False),
        sa.Column("lane", sa.String, nullable=False),
        sa.Column("end", sa.String, nullable=False),
        sa.Column("error_code", sa.String),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("accepted_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
        sa.Column("queue_wait_ms", sa.BigInteger, nullable=False),
        sa.Column("first_chunk_ms", sa.BigInteger),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("input_microusd_per_mtok", sa.BigInteger, nullable=False),
        sa.Column("cached_input_microusd_per_mtok", sa.BigInteger, nullable=False),
        sa.Column("output_microusd_per_mtok", sa.BigInteger, nullable=False),
        sa.Column("cost_microusd", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_ledger"),
    )
    op.create_index(
        "ix_ledger_usage",
        "ledger",
        ["account", "day", "model", "input_tokens", "cached_input_tokens", "output_tokens", "cost_microusd"],
    )
