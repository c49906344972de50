"""The files a user's own code is made of: the module an entry lies in, and those of theirs that it imports."""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from pathlib import Path

__all__ = ["is_installed", "own_sources"]

_PACKAGE = Path(__file__).parents[1]


def is_installed(file: Path) -> bool:
    """Whether a file belongs to Python, to an installed library or to this package, rather than to the user."""
    places = (_PACKAGE, *(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")))
    return any(file.resolve().is_relative_to(place) for place in places)


def own_sources(name: str) -> dict[str, Path]:
    """By name the source files of a module and of all of the user's own that it imports, anywhere in it, in turn, with
    the packages they lie in.

    Empty for one that is installed or cannot be found.
    """
    found: dict[str, Path] = {}
    seen, waiting = {""}, [name]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])  # the package around it is imported first
        if (file := _own_file_of(name)) is not None:
            found[name] = file
            waiting += _imported_by(name, file)
    return found


def _own_file_of(name: str) -> Path | None:
    """The source file of a module of the user's own, imported or not; None of any other, and of what is no module.

    Only the outermost package is looked up as Python does it, and what is inside by its files: Python's own search
    imports each package to look into it, and nothing is to run for a look.
    """
    outer, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(outer)
    except ValueError:  # a module that was made by hand
        return None
    if spec is None:
        return None
    file = Path(spec.origin) if spec.origin else None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    for part in inner:
        places = [folder / part for folder in folders]
        files = [f for place in places for f in (place / "__init__.py", place.with_name(f"{part}.py")) if f.is_file()]
        file, folders = (files[0] if files else None), [place for place in places if place.is_dir()]
    return file if file and file.suffix == ".py" and file.is_file() and not is_installed(file) else None


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
    return found
