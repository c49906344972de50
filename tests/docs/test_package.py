"""The package as it is handed on: the wheel holds what is needed, versions agree, the two commands are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hptransfer

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def pins() -> dict[str, str]:
    """Package and version of every line of constraints.txt."""
    lines = (line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_wheel_holds_every_source_and_every_file_that_is_not_python(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "hptransfer", source / "hptransfer", ignore=shutil.ignore_patterns("__pycache__"))
    program = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"hptransfer-{hptransfer.__version__}-py3-none-any.whl"
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(source)) for path in (source / "hptransfer").rglob("*") if path.is_file()}
    assert wanted <= held, f"missing from the wheel: {sorted(wanted - held)}"
    assert "hptransfer/py.typed" in held
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_the_version_is_said_once_and_the_command_is_installed() -> None:
    assert version("hptransfer") == hptransfer.__version__ == PROJECT["version"]
    commands = {entry.name: entry.value for entry in distribution("hptransfer").entry_points}
    assert commands["hptransfer"] == "hptransfer.cli.main:main"


def test_every_dependency_is_pinned_and_within_what_the_project_allows() -> None:
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    wanted = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    for text in wanted:
        requirement = Requirement(text)
        assert normal(requirement.name) in pinned, f"{requirement.name} has no line in constraints.txt"
        assert requirement.specifier.contains(pinned[normal(requirement.name)]), text


def test_what_the_dependencies_need_is_pinned_too() -> None:
    pinned = pins()
    open_names, seen = ["hptransfer"], set()
    while open_names:
        name = open_names.pop()
        if name in seen:
            continue
        seen.add(name)
        for text in requires(name) or []:
            requirement = Requirement(text)
            extras = ("", "test", "dev", "huggingface") if name == "hptransfer" else ("", "tune")
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                open_names.append(normal(requirement.name))
    assert seen - {"hptransfer"} <= set(pinned)


@needs_make
@pytest.mark.parametrize("target", ["demo", "test", "test-integrations", "lint", "bench", "docs", "clean"])
def test_make_offers_the_target_and_help_names_it(target: str) -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert f"make {target}" in told


@needs_make
def test_a_second_make_installs_nothing(tmp_path: Path) -> None:
    """With an up-to-date stamp, `make -n` would run the demo alone."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    for target, command in (("demo", "hptransfer run sweeps/quickstart.yaml"), ("test", "-m pytest")):
        told = subprocess.run(["make", "-n", target], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        assert command in told
        assert "pip" not in told
    (tmp_path / ".venv" / ".installed").unlink()
    told = subprocess.run(["make", "-n", "demo"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "pip" in told
