"""Secrets that webhooks are signed with, one account's after the other's."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "webhook_secrets",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", "number", name="pk_webhook_secrets"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_webhook_secrets_account"),
    )
