"""What of the input was written to a provider's prompt cache."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("cache_written_input_tokens", sa.BigInteger, nullable=False, server_default="0"))
