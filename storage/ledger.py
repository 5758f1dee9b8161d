"""The ledger: one charge for each job, taken once however often it is offered."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, func, select

from schemas.usage import Price, Usage, UsageEvent
from storage.database import Database
from storage.tables import LEDGER

EVENT_FIELDS: Final = tuple(name for name in UsageEvent.__struct_fields__ if name not in ("usage", "price"))


class Charge(msgspec.Struct, frozen=True):
    """What a job used, and what is asked for it."""

    event: UsageEvent
    cost_microusd: int


class UsageDay(msgspec.Struct, frozen=True):
    """One account's use of one model on one UTC day, as `GET /v1/usage` shows it."""

    day: str
    model: str
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_microusd: int
    units: int
    unit: str


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, charges: Sequence[Charge]) -> set[str]:
        """Write all in one transaction, and return the ids of the jobs that were new.

        A job that has been charged keeps its first charge: a second one changes nothing.
        """
        if not charges:
            return set()
        statement = self._database.insert(LEDGER).on_conflict_do_nothing(index_elements=[LEDGER.c.job_id])
        async with self._database.writing() as connection:
            taken = await connection.execute(statement.returning(LEDGER.c.job_id), [_row(each) for each in charges])
            return set(taken.scalars())

    async def row(self, job_id: str) -> Charge | None:
        """The charge for one job, with all that was known about it."""
        async with self._database.reading() as connection:
            found = await connection.execute(select(LEDGER).where(LEDGER.c.job_id == job_id))
            row = found.mappings().one_or_none()
        return None if row is None else _charge(row)

    async def usage(
        self, account: str, *, since_day: date | None = None, until_day: date | None = None
    ) -> list[UsageDay]:
        """One account's use by day and model, in that order; both days are part of the range.

        A job belongs to the UTC day on which it ended. `requests` counts every job that was accepted and ended
        that day, those among them that failed or were cancelled before any output and cost nothing.
        """
        totals = (
            LEDGER.c.input_tokens,
            LEDGER.c.cached_input_tokens,
            LEDGER.c.output_tokens,
            LEDGER.c.cost_microusd,
            LEDGER.c.units,
        )
        sums = (func.sum(total) for total in totals)
        statement = (
            select(LEDGER.c.day, LEDGER.c.model, func.max(LEDGER.c.unit), func.count(), *sums)
            .where(LEDGER.c.account == account)
            .group_by(LEDGER.c.day, LEDGER.c.model)
            .order_by(LEDGER.c.day, LEDGER.c.model)
        )
        if since_day is not None:
            statement = statement.where(LEDGER.c.day >= since_day)
        if until_day is not None:
            statement = statement.where(LEDGER.c.day <= until_day)
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [_usage_day(*row) for row in rows]


def _usage_day(day: date, model: str, unit: str, *totals: int) -> UsageDay:
    # PostgreSQL's sum of bigints is a Decimal.
    requests, input_tokens, cached, output_tokens, cost_microusd, units = (int(total) for total in totals)
    return UsageDay(day.isoformat(), model, requests, input_tokens, cached, output_tokens, cost_microusd, units, unit)


def _row(charge: Charge) -> dict[str, Any]:
    event = charge.event
    row = {name: getattr(event, name) for name in EVENT_FIELDS}
    row |= msgspec.structs.asdict(event.usage)
    row |= msgspec.structs.asdict(event.price)
    row["day"] = datetime.fromtimestamp(event.ended_at_ms // 1000, UTC).date()
    row["cost_microusd"] = charge.cost_microusd
    return row


def _charge(row: RowMapping) -> Charge:
    usage = Usage(**{name: row[name] for name in Usage.__struct_fields__})
    price = Price(**{name: row[name] for name in Price.__struct_fields__})
    event = UsageEvent(usage=usage, price=price, **{name: row[name] for name in EVENT_FIELDS})
    return Charge(event, row["cost_microusd"])
