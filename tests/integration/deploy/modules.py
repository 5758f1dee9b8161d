"""Files of Go modules: the schemas that other projects publish with their code, fetched when a test needs them."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

PINNED: Final = {
    "github.com/kedacore/keda/v2@v2.21.0": "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
    "github.com/ray-project/kuberay/ray-operator@v1.6.0": "h1:1hs7Di2U/vm09ot7MIU8jUqEo7gHDc4gkbv1eFvqCsQ=",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    "sigs.k8s.io/gateway-api@v1.5.0": "h1:duoo14Ky/fJXpjpmyMISE2RTBGnfCg8zICfTYLTnBJA=",
}
"""By module and version, the hash that Go itself knows its content by."""


def module_file(module: str, path: str) -> Path:
    """A file of the one version of `module` that is pinned."""
    return folder(next(each for each in PINNED if each.startswith(f"{module}@"))) / path


@cache
def folder(pinned: str) -> Path:
    done = subprocess.run(
        ["go", "mod", "download", "-json", pinned], capture_output=True, text=True, timeout=300, check=False, cwd="/"
    )
    answer = json.loads(done.stdout)
    assert done.returncode == 0, answer.get("Error", done.stderr)
    assert answer["Sum"] == PINNED[pinned], f"{pinned} is not what it was: {answer['Sum']}"
    return Path(answer["Dir"])
