"""The files that an application's answer names, and the answer with something else in place of their addresses."""

import mimetypes
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from storage.async_record import RemoteFile
from storage.async_views import placeholder

URL_FIELD: Final = "url"
TYPE_FIELD: Final = "content_type"
UNKNOWN_TYPE: Final = "application/octet-stream"
CONTENT_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}", re.ASCII)
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
NAME_CHARS: Final = 80


class LinkedFile(NamedTuple):
    """A file as it is to be stored, and the address that the answer has for it."""

    remote: RemoteFile
    url: str


def linked_files(output: Any) -> list[LinkedFile]:
    """Each address that the answer has in a field `url`, once, in the answer's order."""
    found: dict[str, LinkedFile] = {}
    for told in _files(output):
        url = told[URL_FIELD]
        if url not in found:
            kind = _content_type(told.get(TYPE_FIELD), url)
            found[url] = LinkedFile(RemoteFile(_name(len(found), url), url, kind), url)
    return list(found.values())


def with_placeholders(output: Any, files: Sequence[LinkedFile]) -> Any:
    """The answer, with a word for the stored file wherever an address of one stands."""
    words = {file.url: placeholder(file.remote.name) for file in files}

    def put(value: Any) -> Any:
        match value:
            case dict():
                return {name: put(each) for name, each in value.items()}
            case list():
                return [put(each) for each in value]
            case str():
                return words.get(value, value)
            case _:
                return value

    return put(output)


def _files(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        url = value.get(URL_FIELD)
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            yield value
        for each in value.values():
            yield from _files(each)
    elif isinstance(value, list):
        for each in value:
            yield from _files(each)


def _name(number: int, url: str) -> str:
    """The last step of the address as a name of its own; whatever it is, it is one name in one folder."""
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    kept = NOT_IN_NAMES.sub("_", last).strip("._")[-NAME_CHARS:]
    return f"{number}-{kept}" if kept else str(number)


def _content_type(told: Any, url: str) -> str:
    if isinstance(told, str) and CONTENT_TYPE.fullmatch(told):
        return told
    return mimetypes.guess_type(urlsplit(url).path)[0] or UNKNOWN_TYPE
