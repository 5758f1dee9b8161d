"""What a row says of a drawing model: everything else is refused before it is published."""

from collections.abc import Collection
from typing import Final

from ingress.bounds import check_endpoint
from schemas.catalog import Model
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.media import ImageFormat
from schemas.media_rows import ImageRow
from schemas.wire.openai_images import ImageRequest

ENDPOINT: Final = "/v1/images/generations"

AUTO: Final = "auto"
"""Asks for nothing: the model, or its row, chooses."""

STANDARD: Final = "standard"
"""A quality that asks for nothing too: OpenAI's default before 2025, which frameworks still send unasked."""

DEFAULT_FORMAT: Final[ImageFormat] = "png"
"""OpenAI's; a row that has no such format gives its first."""

UNCOMPRESSED: Final = 100
"""What OpenAI means by no `output_compression`, so that it asks for nothing."""


def check_image(model: Model, request: ImageRequest) -> ImageRow:
    """The row's own part, if `model` takes the request; else raises InvalidValue or UnsupportedParameter."""
    check_endpoint(model, ENDPOINT)
    row = model.image
    assert row is not None, "a row that is served here has its contract"
    _check_prompt(model, row, request.prompt)
    _check_most("n", request.n, row.max_images, model)
    _check_one_of("size", request.size, row.sizes, model)
    _check_one_of("quality", quality_of(row, request), row.qualities, model)
    _check_one_of("background", request.background, row.backgrounds, model)
    if request.output_format is not None:
        _check_one_of("output_format", request.output_format, row.output_formats, model)
    _check_format(format_of(row, request), request)
    _check_stream(model, row, request)
    return row


def format_of(row: ImageRow, request: ImageRequest) -> ImageFormat:
    if request.output_format is not None:
        return request.output_format
    return DEFAULT_FORMAT if DEFAULT_FORMAT in row.output_formats else row.output_formats[0]


def quality_of(row: ImageRow, request: ImageRequest) -> str | None:
    """None where that is left to the model."""
    asked = request.quality
    return None if asked == AUTO or (asked == STANDARD and asked not in row.qualities) else asked


def _check_prompt(model: Model, row: ImageRow, prompt: str) -> None:
    if len(prompt) > row.max_prompt_chars:
        raise InvalidValue(
            f"'prompt' should have at most {row.max_prompt_chars} characters for the model '{model.id}'; "
            f"got {len(prompt)}. Shorten it.",
            param="prompt",
        )
    if not prompt.strip():
        raise InvalidValue("'prompt' should not be white space alone.", param="prompt")


def _check_most(name: str, given: int | None, most: int, model: Model) -> None:
    if given is not None and given > most:
        raise InvalidValue(f"'{name}' should be at most {most} for the model '{model.id}'; got {given}.", param=name)


def _check_one_of(name: str, given: str | None, possible: Collection[str], model: Model) -> None:
    if given is None or given == AUTO or given in possible:
        return
    if not possible:
        raise UnsupportedParameter(
            f"The model '{model.id}' cannot be asked for a '{name}'. Leave it out or send auto.", param=name
        )
    listed = ", ".join((AUTO, *possible))
    raise InvalidValue(f"'{name}' should be one of {listed} for the model '{model.id}'; got '{given}'.", param=name)


def _check_format(output_format: ImageFormat, request: ImageRequest) -> None:
    """What only some formats can do."""
    compression = request.output_compression
    if output_format == "png" and compression is not None and compression != UNCOMPRESSED:
        raise InvalidValue(
            "'output_compression' is for the output_format jpeg or webp; a png leaves nothing out.",
            param="output_compression",
        )
    if output_format == "jpeg" and request.background == "transparent":
        raise InvalidValue(
            "'background' transparent needs the output_format png or webp; a jpeg has no transparency.",
            param="background",
        )


def _check_stream(model: Model, row: ImageRow, request: ImageRequest) -> None:
    if not request.stream:
        if request.partial_images:
            raise InvalidValue("'partial_images' needs 'stream' to be true.", param="partial_images")
        return
    if request.response_format == "url":
        raise InvalidValue(
            "'response_format' url has no place in a stream, whose events carry b64_json.", param="response_format"
        )
    if request.partial_images and not row.max_partial_images:
        raise UnsupportedParameter(
            f"The model '{model.id}' gives no drafts. Leave 'partial_images' out or send 0.", param="partial_images"
        )
    _check_most("partial_images", request.partial_images, row.max_partial_images, model)
