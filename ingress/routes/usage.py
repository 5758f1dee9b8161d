"""`GET /v1/usage`: what the key's own account used, by day and model."""

import re
from datetime import date
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request

from ingress.door import Door
from schemas.errors import InvalidValue
from schemas.wire.usage import UsageList, UsageRow

router = APIRouter(prefix="/v1/usage", tags=["usage"])

DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

Day = Annotated[str | None, Query(json_schema_extra={"format": "date"})]


@router.head("", include_in_schema=False)
@router.get("", summary="The account's usage by UTC day and model")
async def usage(request: Request, start_day: Day = None, end_day: Day = None) -> UsageList:
    """Both days are part of the range; leaving one out leaves that end open."""
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    since, until = _day("start_day", start_day), _day("end_day", end_day)
    if since is not None and until is not None and since > until:
        raise InvalidValue("'start_day' should not be after 'end_day'.", param="start_day")
    days = await door.ledger.usage(key.account, since_day=since, until_day=until)
    return UsageList(data=[UsageRow(**msgspec.structs.asdict(day)) for day in days])


def _day(name: str, value: str | None) -> date | None:
    if value is None:
        return None
    # date.fromisoformat alone would also take week dates and days without dashes.
    if DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError as exc:
            raise InvalidValue(f"'{name}' is no day of the calendar.", param=name) from exc
    raise InvalidValue(f"'{name}' should be a day as in 2026-11-22.", param=name)
