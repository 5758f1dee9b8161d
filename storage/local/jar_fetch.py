"""Fetches the locked jars with jgo and verifies each; a process of its own that prints the name of each it has.

Run as `python -m storage.local.jar_fetch FOLDER`.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from storage.local.failure import StartFailed
from storage.local.jars import Jar, locked_jars, sha256

AT_ONCE: Final = 8
TIMEOUT_S: Final = 60


def main() -> None:
    folder = Path(sys.argv[1])
    staging = folder.with_name(folder.name + ".fetching")
    # Left by a fetch that was cut off; nobody else is at it, for our caller holds the lock.
    shutil.rmtree(staging, ignore_errors=True)
    try:
        fetch(locked_jars(), staging)
    except Exception as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
    shutil.rmtree(staging / "repository")
    staging.rename(folder)


def fetch(jars: list[Jar], staging: Path) -> None:
    """Puts every jar into `staging`; raises StartFailed for one that is not what the lock says it is."""
    mirrors = GlobalSettings.load().repositories
    maven = MavenContext(
        repo_cache=staging / "repository",
        local_repos=[],
        remote_repos={**mirrors, "central": MAVEN_CENTRAL_URL},
        timeout=TIMEOUT_S,
    )
    staging.mkdir(parents=True)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        fetches = [threads.submit(_fetch_one, maven, jar, staging) for jar in jars]
        try:
            for done in as_completed(fetches):
                print(done.result(), flush=True)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _fetch_one(maven: MavenContext, jar: Jar, staging: Path) -> str:
    found = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    if (digest := sha256(found)) != jar.sha256:
        raise StartFailed(f"{jar.file_name} has SHA-256 {digest}, its lock says {jar.sha256}")
    place = staging / jar.file_name
    found.rename(place)
    with place.open("rb") as file:
        os.fsync(file.fileno())
    return jar.file_name


if __name__ == "__main__":
    main()
