"""The usage object of images, as OpenAI writes it."""

import msgspec

from schemas.usage import Usage


class ImagesUsage(msgspec.Struct, gc=False):
    """Of models that are sold by tokens; others leave it out, or write zeros."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    def canonical(self, images: int) -> Usage:
        return Usage(input_tokens=self.input_tokens or 0, output_tokens=self.output_tokens or 0, units=images)
