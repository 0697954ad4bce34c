"""The house rules, read from the syntax trees of the package, its converters, benchmarks and tests.

import-linter checks the direction of imports (`pyproject.toml`); these are the other rules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("jaxviz", "converters", "benchmarks", "tests")
#: Folders of virtual environments, and of scripts that run in another one or with an older commit.
OTHER_ENVIRONMENTS = {".venv", ".cache", "specimens", "data"}
FILES_BESIDE_THE_FOLDERS = 7
CLASS_LINES = 200
FUNCTION_LINES = 60

#: Attributes with a leading underscore that Python documents, so they are public.
PUBLIC = {"_asdict", "_replace", "_fields", "_field_defaults", "_make"}
#: Private names of other libraries that have no public one, and who needs them.
THIRD_PARTY = {
    "_keras_history": "Keras: the layer that made a tensor; the parity reference walks back by it",
    "_inbound_nodes": "Keras: the calls of a shared layer; likewise",
    "_nodes_by_depth": "Keras: the order of calls in a model; likewise",
    "_functional": "Keras: the graph of a Sequential; likewise",
    "_is_graph_network": "tf.keras: whether a model has a graph; likewise",
    "_forward_hooks": "PyTorch: hooks that a peer of the benchmarks leaves behind",
}


@cache
def files() -> dict[str, ast.Module]:
    """Every Python file of the four trees: path from the root, syntax tree."""
    found = [p.relative_to(ROOT) for top in OURS for p in sorted((ROOT / top).rglob("*.py"))]
    ours = [p for p in found if not OTHER_ENVIRONMENTS.intersection(p.parts)]
    ours.append(Path("benchmarks", "run"))
    return {str(p): ast.parse((ROOT / p).read_text("utf-8")) for p in ours}


@cache
def modules() -> dict[str, str]:
    """Module name of every file, and the file."""
    names = {}
    for path in files():
        parts = Path(path).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Module and imported name (None for `import module`), wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in {"_", *PUBLIC}


def count_files() -> Iterator[str]:
    """At most seven files lie beside the folders of `jaxviz`."""
    beside = [path for path in files() if Path(path).parent == Path("jaxviz")]
    if len(beside) > FILES_BESIDE_THE_FOLDERS:
        yield f"jaxviz: {len(beside)} files beside the folders"


def packages_without_purpose() -> Iterator[str]:
    """A package's docstring begins with its purpose: one line, one sentence."""
    mirror = re.compile(r"tests/(jaxviz|converters|scripts|benchmarks)/")
    for path, tree in files().items():
        if path.endswith("__init__.py") and not mirror.match(path):
            first = (ast.get_docstring(tree) or "").split("\n")[0]
            if not first.endswith("."):
                yield f"{path}: no purpose in one line"


def imports_between_tests() -> Iterator[str]:
    """Tests share through `tests/support` and fixtures, never through each other."""
    for path, tree in files().items():
        for module, name in imports(tree):
            for full in (module, f"{module}.{name}"):
                last = full.split(".")[-1]
                if full.startswith("tests.") and (last.startswith("test_") or last == "conftest"):
                    if full in modules():
                        yield f"{path}: imports {full}"


def private_names_from_elsewhere() -> Iterator[str]:
    """A name with a leading underscore is used only in the file that defines it."""
    for path, tree in files().items():
        own = defined(tree)
        found = {name for module, name in imports(tree) if name and private(name)}
        for node in ast.walk(tree):
            found |= {name for name in reached(node) if private(name) and name not in own}
        yield from (f"{path}: {name}" for name in sorted(found - {"_util", *THIRD_PARTY}))


def defined(tree: ast.Module) -> set[str]:
    """Every name that a file gives to a function, a class, a variable or an attribute."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if is_self(node.value):
                names.add(node.attr)
    return names


def reached(node: ast.AST) -> Iterator[str]:
    """Names reached from outside: `x._name`, `setattr(x, "_name", …)`, "jaxviz.module._name"."""
    if isinstance(node, ast.Attribute) and not is_self(node.value):
        yield node.attr
    elif isinstance(node, ast.Call):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else None
        function = node.func.id if isinstance(node.func, ast.Name) else function
        if function in ("getattr", "setattr", "delattr", "hasattr"):
            yield from (a.value for a in node.args[:2] if is_text(a))
    elif is_text(node) and re.fullmatch(rf"({'|'.join(OURS)})(\.\w+)+", node.value):
        yield from node.value.split(".")


def is_self(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("super", "type")
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def long_classes() -> Iterator[str]:
    """No class has over 200 lines, decorators and docstrings included."""
    for path, tree in files().items():
        for name, node in definitions(tree):
            if isinstance(node, ast.ClassDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if node.end_lineno - first + 1 > CLASS_LINES:
                    yield f"{path}: {name}"


def long_functions() -> Iterator[str]:
    """No function has over 60 lines from `def` to its end, its docstring not counted."""
    for path, tree in files().items():
        for name, node in definitions(tree):
            if not isinstance(node, ast.ClassDef):
                first = node.body[0]
                has = ast.get_docstring(node, clean=False) is not None
                docstring = first.end_lineno - first.lineno + 1 if has else 0
                if node.end_lineno - node.lineno + 1 - docstring > FUNCTION_LINES:
                    yield f"{path}: {name}"


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every class and function with its qualified name, nested ones included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name, node
            yield from definitions(node, f"{prefix}{node.name}.")
        else:
            yield from definitions(node, prefix)


def circles() -> Iterator[str]:
    """Imports between files form no circle, imports for types and inside functions included."""
    arrows = {path: set(imported(tree)) - {path} for path, tree in files().items()}
    for circle in strongly_connected(arrows):
        if len(circle) > 1:
            yield " <-> ".join(sorted(circle))


def imported(tree: ast.Module) -> Iterator[str]:
    """The files of ours that a file names in its imports."""
    for module, name in imports(tree):
        file = modules().get(f"{module}.{name}") or modules().get(module)
        if file:
            yield file


def strongly_connected(arrows: dict[str, set[str]]) -> Iterable[set[str]]:
    """Groups of files that all reach each other."""
    ahead = {path: reachable(path, arrows) for path in arrows}
    left = set(arrows)
    while left:
        path = min(left)
        group = {path} | {other for other in ahead[path] if path in ahead[other]}
        yield group
        left -= group


def reachable(path: str, arrows: dict[str, set[str]]) -> set[str]:
    found, waiting = set(), [path]
    while waiting:
        for following in arrows[waiting.pop()] - found:
            found.add(following)
            waiting.append(following)
    return found


def changes_of_the_search_path() -> Iterator[str]:
    """Nothing changes `sys.path`: benchmarks and tests are packages."""
    for path, tree in files().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("insert", "append", "extend"):
                if ast.unparse(node.value) == "sys.path":
                    yield f"{path}: sys.path.{node.attr}"


RULES = {
    "files": count_files,
    "purpose": packages_without_purpose,
    "test": imports_between_tests,
    "private": private_names_from_elsewhere,
    "class": long_classes,
    "function": long_functions,
    "circle": circles,
    "path": changes_of_the_search_path,
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule):
    found = sorted(set(RULES[rule]()))
    assert not found, f"{RULES[rule].__doc__}\n" + "\n".join(found)
