"""Units other than tokens that a job used, and their price."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INDEX = "ix_ledger_usage"
REPORTED = ("account", "day", "model", "input_tokens", "cached_input_tokens", "output_tokens", "cost_microusd")


def upgrade() -> None:
    op.add_column("ledger", sa.Column("units", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("unit", sa.String, nullable=False, server_default=""))
    op.add_column("ledger", sa.Column("unit_microusd_per_million", sa.BigInteger, nullable=False, server_default="0"))
    op.drop_index(INDEX, "ledger")
    op.create_index(INDEX, "ledger", [*REPORTED, "units", "unit"])
