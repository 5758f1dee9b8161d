"""What a person may choose about a stack."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.local.failure import StartFailed
from storage.redis_wire import RedisAddress

DEFAULT_DATA: Final = Path(".penstock")
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
ANY_HOST: Final = ("0.0.0.0", "::")


@dataclass(frozen=True)
class StackOptions:
    """`kafka`, `redis`, `database` and `objects` are stores of one's own; None stands for the embedded ones.

    `public_url` is where clients reach the ingress, if that is not where it listens.
    """

    data: Path = DEFAULT_DATA
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    catalog: Sequence[Path] = ()
    ingress: int = 1
    text_workers: int = 1
    streams: int = 1
    kafka: str | None = None
    redis: str | None = None
    database: str | None = None
    objects: str | None = None
    public_url: str | None = None

    @property
    def database_url(self) -> str:
        return self.database or embedded_database(self.data)

    @property
    def object_storage(self) -> str:
        return self.objects or str(self.data.resolve() / "objects")

    @property
    def logs(self) -> Path:
        return self.data.resolve() / "logs"

    @property
    def key_file(self) -> Path:
        """Holds the secret of the key that the first start made."""
        return self.data.resolve() / "key"

    @property
    def base_url(self) -> str:
        host = DEFAULT_HOST if self.host in ANY_HOST else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    def check_addresses(self) -> None:
        """Raises InvalidValue for one that no part could read."""
        if self.redis is not None:
            RedisAddress.parse(self.redis)

    def make_folders(self) -> None:
        """Have a data folder to write in; raises StartFailed."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise StartFailed(f"the data folder {self.data} cannot be made: {failure.strerror}") from failure
        if not os.access(self.data, os.W_OK):
            raise StartFailed(f"the data folder {self.data} cannot be written to")

    def arguments(self) -> list[str]:
        """The words after `penstock up` that say the same."""
        pairs = [
            ("--data", self.data.resolve()),
            ("--host", self.host),
            ("--port", self.port),
            *(("--catalog", path.resolve()) for path in self.catalog),
            ("--ingress", self.ingress),
            ("--text-workers", self.text_workers),
            ("--streams", self.streams),
            ("--kafka", self.kafka),
            ("--redis", self.redis),
            ("--database", self.database),
            ("--objects", self.objects),
            ("--public-url", self.public_url),
        ]
        return [f"{name}={value}" for name, value in pairs if value is not None]

    def catalog_files(self) -> str:
        """The operator's files as the parts are told of them; raises StartFailed for one that is not there."""
        if missing := next((path for path in self.catalog if not path.is_file()), None):
            raise StartFailed(f"catalogue file {missing} does not exist")
        return os.pathsep.join(str(path.resolve()) for path in self.catalog)


def embedded_database(data: Path) -> str:
    """The address of the database that an embedded stack keeps in its folder."""
    return f"sqlite:///{data.resolve() / 'penstock.db'}"
