"""What a video model's row accepts, held against a request."""

from typing import Final

from ingress.bounds import check_endpoint
from ingress.translate.openai_videos import REFERENCE, row_of
from schemas.catalog import Model
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.media import Film
from schemas.media_rows import VideoRow

ENDPOINT: Final = "/v1/videos"


def check_served(model: Model) -> None:
    """Return if the model makes videos. Raises InvalidValue."""
    check_endpoint(model, ENDPOINT)


def check_film(model: Model, film: Film) -> None:
    """Return if the model's row accepts it; else raise InvalidValue or UnsupportedParameter for the first fault."""
    row = row_of(model)
    _check_prompt("prompt", film.prompt, row)
    if film.size not in row.sizes:
        raise InvalidValue(f"'size' should be one of: {', '.join(row.sizes)}; got '{film.size}'.", param="size")
    if not row.seconds.min <= film.seconds <= row.seconds.max:
        bounds = f"between {row.seconds.min:g} and {row.seconds.max:g}"
        raise InvalidValue(f"'seconds' should be {bounds}; got {film.seconds:g}.", param="seconds")
    if film.fps not in row.fps:
        allowed = ", ".join(str(fps) for fps in row.fps)
        raise InvalidValue(f"'fps' should be one of: {allowed}; got {film.fps}.", param="fps")
    if film.seed is not None:
        _check_known(model, "seed", row.seed)
        if film.seed < 0:
            raise InvalidValue(f"'seed' should be at least 0; got {film.seed}.", param="seed")
    if film.negative_prompt is not None:
        _check_known(model, "negative_prompt", row.negative_prompt)
        _check_prompt("negative_prompt", film.negative_prompt, row)
    if film.image is not None:
        _check_known(model, REFERENCE, row.image_input)


def _check_prompt(name: str, text: str, row: VideoRow) -> None:
    if not text.strip():
        raise InvalidValue(f"'{name}' should not be white space alone.", param=name)
    if len(text) > row.max_prompt_chars:
        raise InvalidValue(
            f"'{name}' should have at most {row.max_prompt_chars} characters; it has {len(text)}.", param=name
        )


def _check_known(model: Model, name: str, known: bool) -> None:
    if not known:
        raise UnsupportedParameter(f"The model '{model.id}' does not accept '{name}'.", param=name)
