"""Apache Kafka as a program: which Java, which jars, which flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HEAP_MB: Final = 256
"""The heap's limit; at rest Kafka uses about 60 MB of it."""

FIRST_HEAP_MB: Final = 40
"""The heap's size at first: given all at once, most of it would be filled with what starting leaves behind."""

JVM_FLAGS: Final = (
    f"-Xmx{HEAP_MB}m",
    f"-Xms{FIRST_HEAP_MB}m",
    # It grows by what it needs: 40 % of room to spare, the default, stays unused here.
    "-XX:MinHeapFreeRatio=15",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:+UseCompactObjectHeaders",
    # The quick compiler alone: half the CPU and a better p99 in a broker's first minutes, which here are all it has.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:aot*=error",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "2"}
"""glibc's arenas, one a thread otherwise, cost tens of megabytes."""

LOG4J: Final = Path(__file__).with_name("kafka.log4j2.properties")


@dataclass(frozen=True)
class KafkaProgram:
    """`aot_cache`, a file that `kafka_install` makes, halves the time to start and is not needed to."""

    java: Path
    jars: Sequence[Path]
    aot_cache: Path | None = None

    def command(self, main_class: str, *arguments: str, log: Path, flags: Sequence[str] = ()) -> list[str]:
        """The command line that runs `main_class`, with Kafka's own log in `log`."""
        aot = [f"-XX:AOTCache={self.aot_cache}"] if self.aot_cache else []
        return [
            str(self.java),
            *JVM_FLAGS,
            *aot,
            *flags,
            f"-XX:ErrorFile={log.with_suffix('.crash')}",
            f"-Dlog4j2.configurationFile={LOG4J}",
            f"-Dpenstock.kafka.log={log}",
            "-cp",
            ":".join(str(jar) for jar in self.jars),
            main_class,
            *arguments,
        ]
