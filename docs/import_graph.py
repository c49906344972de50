"""What imports what: the facts that the picture of the rooms is drawn from and that the tests hold the package to.

Every import counts, wherever it stands: in a function, under `if TYPE_CHECKING:`, or as `import_module` of a text.
A module that can only be understood by way of another one depends on it, whenever it is loaded.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "hptransfer"


def module_imports(package: Path) -> dict[str, set[str]]:
    """For every module of the package, by its dotted name below it, the others that it names in an import.

    A package's own `__init__` bears the package's name; the root's is the empty text.
    """
    files = {_name(file.relative_to(package)): file for file in sorted(package.rglob("*.py"))}
    return {
        module: set(_imported(ast.parse(file.read_text(encoding="utf-8")), files)) - {module}
        for module, file in files.items()
    }


def room_imports(modules: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """For every room, a folder of the package, the other rooms that its modules import."""
    found: dict[str, set[str]] = defaultdict(set)
    rooms = {room_of(module) for module in modules if "." in module}
    for module, imported in modules.items():
        if (here := room_of(module)) in rooms:
            found[here] |= {room_of(other) for other in imported} & rooms - {here}
    return dict(found)


def room_of(module: str) -> str:
    """The folder that a module lies in; a module at the top is its own."""
    return module.partition(".")[0]


def rows_of(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Names by height, lowest first: one above the highest that each imports. ValueError names those of a circle."""
    heights: dict[str, int] = {}

    def height(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError("they import each other in a circle: " + " → ".join((*above[above.index(name) :], name)))
        if name not in heights:
            heights[name] = 1 + max((height(n, (*above, name)) for n in imports.get(name, ())), default=-1)
        return heights[name]

    for name in imports:
        height(name, ())
    rows: list[list[str]] = [[] for _ in range(max(heights.values()) + 1)]
    for name, at in sorted(heights.items()):
        rows[at].append(name)
    return rows


def below(imports: Mapping[str, set[str]], name: str) -> set[str]:
    """Everything that is imported, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = imports.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def essential(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The imports that are not implied by others: few enough arrows to be read. What lies below a name stays."""
    return {
        name: {other for other in direct if not any(other in below(imports, between) for between in direct - {other})}
        for name, direct in imports.items()
    }


def _name(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            module = node.module.removeprefix(PACKAGE).removeprefix(".")
            for alias in node.names:
                whole = f"{module}.{alias.name}".removeprefix(".")
                yield whole if whole in files else module
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith(f"{PACKAGE}."):
                    yield str(argument.value).removeprefix(f"{PACKAGE}.")
