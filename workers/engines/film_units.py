"""What a video costs, by what its row says that it is sold by."""

from schemas.media import Film
from schemas.usage import Unit, Usage


def film_usage(unit: Unit, film: Film, seconds: float | None = None) -> Usage:
    """Usage of one video of `seconds`, by default as long as was asked for; nothing where it is sold by neither."""
    match unit:
        case "video_ms":
            return Usage(units=round(1000 * (film.seconds if seconds is None else seconds)))
        case "video" | "request":
            return Usage(units=1)
        case _:
            return Usage()
