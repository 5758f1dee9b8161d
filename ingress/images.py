"""Images and documents in a request: whether each is what it says it is, before anything is queued."""

import base64
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from schemas.chat import Document, Image
from schemas.errors import BodyTooLarge, InvalidRequest, InvalidValue
from schemas.images import HEAD_BYTES, IMAGE_TYPES, MAX_IMAGE_BYTES, image_type

BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
PDF: Final = "application/pdf"
LONGEST_URL: Final = 8192


class Fault(NamedTuple):
    """What is wrong with a part; `words` go on after the part's place."""

    words: str
    branch: type[InvalidRequest] = InvalidValue

    def at(self, place: str) -> InvalidRequest:
        return self.branch(f"'{place}' {self.words}.", param=place)


NOT_BASE64: Final = Fault("holds data that is not base64 text")


def image_fault(image: Image) -> Fault | None:
    """None for an image of a kind that models read; what an URL leads to is for whoever fetches it."""
    if image.data is None:
        return _url_fault(image.url or "", "an image")
    if image.media_type not in IMAGE_TYPES:
        return Fault(f"should be one of {', '.join(IMAGE_TYPES)}; it is said to be '{(image.media_type or '')[:80]}'")
    if not _is_base64(image.data):
        return NOT_BASE64
    found = image_type(_head(image.data))
    if found is None:
        return Fault("is not an image: its data begins as no PNG, JPEG, WEBP or GIF does")
    if found != image.media_type:
        return Fault(f"says it is {image.media_type}, but its data is {found}")
    size_bytes = len(image.data) * 3 // 4
    if size_bytes > MAX_IMAGE_BYTES:
        return Fault(f"is an image of {size_bytes} bytes, and {MAX_IMAGE_BYTES} are the most", BodyTooLarge)
    return None


def document_fault(document: Document) -> Fault | None:
    """None for text, an address, and data that is a PDF if it says so."""
    if document.text is not None:
        return None
    if document.data is None:
        return _url_fault(document.url or "", "a document")
    if not _is_base64(document.data):
        return NOT_BASE64
    if document.media_type == PDF and not _head(document.data).startswith(b"%PDF"):
        return Fault("is not a PDF: its data does not begin as one")
    return None


def _is_base64(data: str) -> bool:
    if not data or len(data) % 4 or not data.isascii():
        return False
    rest = data.encode().translate(None, BASE64)
    return rest in (b"", b"=", b"==") and data.endswith(rest.decode())


def _head(data: str) -> bytes:
    return base64.b64decode(data[: HEAD_BYTES * 4 // 3])


def _url_fault(url: str, what: str) -> Fault | None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if good and len(url) <= LONGEST_URL:
        return None
    return Fault(f"should be a data URI (data:…;base64,…) or the https URL of {what}")
