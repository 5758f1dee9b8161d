"""What writing to a provider's prompt cache costs, and how much of it is to be kept for an hour."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = (
    "cache_written_1h_input_tokens",
    "cache_written_input_microusd_per_mtok",
    "cache_written_1h_input_microusd_per_mtok",
)


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("ledger", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
