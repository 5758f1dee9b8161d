"""What a row says that its model costs."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Final

from pydantic import Field, model_validator

from schemas.parameters import Row
from schemas.usage import Price, Unit

UNITS: Final[Mapping[str, tuple[Unit, int]]] = {
    "usd_per_image": ("image", 1_000_000),
    "usd_per_mchar": ("character", 1),
    "usd_per_video": ("video", 1_000_000),
    "usd_per_video_second": ("video_ms", 1_000),
    "usd_per_request": ("request", 1_000_000),
}
"""The unit that each price is for, and how many of what it names make a million units."""


class PriceRow(Row):
    """US dollars, to the micro-dollar, for a million tokens and for at most one thing else that is sold."""

    input_usd_per_mtok: Decimal = Field(default=Decimal(0), ge=0, max_digits=12, decimal_places=6)
    cached_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    output_usd_per_mtok: Decimal = Field(default=Decimal(0), ge=0, max_digits=12, decimal_places=6)
    cache_written_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    cache_written_1h_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    usd_per_image: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    usd_per_mchar: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    usd_per_video: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    usd_per_video_second: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)
    usd_per_request: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=6)

    @model_validator(mode="after")
    def _sold_by_one_thing(self) -> "PriceRow":
        given = [name for name in UNITS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: a model is sold by one thing beside its tokens")
        return self

    @property
    def unit(self) -> Unit:
        """What the model is sold by beside tokens; "" where by nothing else."""
        return next((unit for name, (unit, _) in UNITS.items() if getattr(self, name) is not None), "")

    @property
    def beside_tokens(self) -> str:
        """The price of what else is sold, as in `0.04 per image`; "" where nothing is."""
        for name in UNITS:
            if (usd := getattr(self, name)) is not None:
                what = name.removeprefix("usd_").replace("mchar", "million characters")
                return f"{usd} {what.replace('_', ' ')}"
        return ""

    @cached_property
    def microusd(self) -> Price:
        """What is not given costs what the input costs; an hour in the cache, what minutes cost."""
        fresh = self.input_usd_per_mtok
        cached, written = (
            fresh if usd is None else usd
            for usd in (self.cached_input_usd_per_mtok, self.cache_written_input_usd_per_mtok)
        )
        hour = self.cache_written_1h_input_usd_per_mtok
        return Price(
            input_microusd_per_mtok=_microusd(fresh),
            cached_input_microusd_per_mtok=_microusd(cached),
            output_microusd_per_mtok=_microusd(self.output_usd_per_mtok),
            cache_written_input_microusd_per_mtok=_microusd(written),
            cache_written_1h_input_microusd_per_mtok=_microusd(written if hour is None else hour),
            unit=self.unit,
            unit_microusd_per_million=self._unit_microusd_per_million(),
        )

    def _unit_microusd_per_million(self) -> int:
        for name, (_, millions) in UNITS.items():
            if (usd := getattr(self, name)) is not None:
                return _microusd(usd * millions)
        return 0


def _microusd(usd: Decimal) -> int:
    return int(usd * 1_000_000)
