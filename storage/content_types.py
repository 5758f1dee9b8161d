"""What an object's key tells of its body's type, and what a name for saving it looks like in a header."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

BINARY: Final = "application/octet-stream"

# Of our own and not the system's table, which differs from machine to machine.
_BY_ENDING: Final[Mapping[str, str]] = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "flac": "audio/flac",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
}


def type_by_ending(key: str) -> str:
    """The content type that a key's ending stands for, or that of bytes of no kind."""
    _, dot, ending = key.rpartition("/")[2].rpartition(".")
    return _BY_ENDING.get(ending.lower(), BINARY) if dot else BINARY


def disposition(file_name: str | None) -> str:
    """The value of Content-Disposition for a body that is to be saved under this name, or shown if it has none.

    As RFC 6266 has it: the exact name in UTF-8, and before it what is left of it in ASCII for readers of old.
    """
    if not file_name:
        return "inline"
    plain = "".join(sign if " " <= sign < "\x7f" and sign not in '"\\%' else "_" for sign in file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
