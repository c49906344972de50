"""The files a user's own code is made of: the module an entry lies in, and those of theirs that it imports."""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

__all__ = ["is_installed", "own_sources"]

_PACKAGE = Path(__file__).parents[1]


def is_installed(file: Path) -> bool:
    """Whether a file belongs to Python, to an installed library or to this package, rather than to the user."""
    places = (_PACKAGE, *(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")))
    return any(file.resolve().is_relative_to(place) for place in places)


def own_sources(name: str) -> dict[str, Path]:
    """By name the source files of a module and of all of the user's own that it imports, anywhere in it, in turn.

    Empty for one that is installed or cannot be found.
    """
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        file = None if name in found else _own_file_of(name)
        if file is not None:
            found[name] = file
            waiting += _imported_by(name, file)
    return found


def _own_file_of(name: str) -> Path | None:
    """The source file of a module of the user's own, imported or not; None of any other, and of what is no module."""
    spec = _spec_of(name)
    file = None if spec is None or spec.origin is None else Path(spec.origin)
    return file if file is not None and file.suffix == ".py" and file.is_file() and not is_installed(file) else None


def _spec_of(name: str) -> ModuleSpec | None:
    """Where a module lies, step by step from its outermost package: Python's own search imports each package to look
    into it, and nothing is to run for a look."""
    outer, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(outer)
    except ValueError:  # a module that was made by hand
        return None
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec


def _imported_by(name: str, file: Path) -> list[str]:
    """Names of modules in the import statements of a source file, those among them that may be no modules too."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # of a file that nothing has imported yet
        return []
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    parents = {part.rpartition(".")[0] for part in found}
    return sorted({*found, *parents} - {""})
