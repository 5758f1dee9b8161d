"""Official clients of every age that is driven, each in an interpreter of its own."""

import asyncio
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
INSTALL_S: Final = 100
RUN_S: Final = 100


async def told(program: str, age: str | None, *arguments: str) -> dict[str, Any]:
    """What a program of this folder prints with the client of that age; None is the one of these tests themselves."""
    older = {} if age is None else {"PYTHONPATH": str(await asyncio.to_thread(_installed, age))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", program, *arguments), env={**os.environ, **older}, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(RUN_S):
        said, _ = await process.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


def _installed(name: str) -> Path:
    """The folder with all that `requirements/NAME.lock` names, installed once for each state of the lock."""
    lock, folder = ROOT / "requirements" / f"{name}.lock", ROOT / f".venv-{name}"
    stamp, state = folder / "installed", sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*uv, "--require-hashes", "--target", folder, "-r", lock], check=True, timeout=INSTALL_S)
        stamp.write_text(state)
    return folder
