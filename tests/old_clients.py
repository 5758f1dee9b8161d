"""Official clients of an earlier age, each in a folder of its own beside the environment."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
INSTALL_S: Final = 100


def installed(name: str) -> Path:
    """The folder with all that `requirements/NAME.lock` names, installed once for each state of the lock."""
    lock, folder = ROOT / "requirements" / f"{name}.lock", ROOT / f".venv-{name}"
    stamp, state = folder / "installed", sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*uv, "--require-hashes", "--target", folder, "-r", lock], check=True, timeout=INSTALL_S)
        stamp.write_text(state)
    return folder
