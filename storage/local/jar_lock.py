"""Writes the lock of Kafka's jars anew: `make lock` runs it after a change of version."""

import os
import tempfile
from pathlib import Path
from typing import Final

import jgo

from storage.local.jars import LOCK, VERSION

# The "!" keeps log4j's own dependency management out: with it, Kafka's clients would become 3.9.
COORDINATES: Final = f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["M2_REPO"] = str(Path(folder) / "repository")
        environment = jgo.build(COORDINATES, cache_dir=Path(folder) / "cache")
        lines = environment.lock_path.read_text().splitlines(keepends=True)
    # The hour of its making would make every lock differ from the one before.
    LOCK.write_text("".join(line for line in lines if not line.startswith("generated = ")))


if __name__ == "__main__":
    main()
