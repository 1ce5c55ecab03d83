"""Every import of the two packages goes where ``docs/architecture.md`` allows it."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from room_drawing import DRAWING, draw, levels
from room_table import PAGE, PROJECT, read_rooms

ROOMS = read_rooms()
_PACKAGES = (
    PROJECT / "harness" / "cellharness",
    PROJECT / "adapters" / "cellharness_adapters",
)
_ADAPTERS = "cellharness_adapters"
#: The one module that may name the adapters' package.
_FINDER = "cellharness.methods.registry"


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    _module_name(path, package): path.read_text(encoding="utf-8")
    for package in _PACKAGES
    for path in sorted(package.rglob("*.py"))
}


def room_of(module: str) -> str:
    """Name the room of a module: that of the longest entry which it equals or lies below."""
    found = [
        (len(entry), room.name)
        for room in ROOMS.values()
        for entry in room.modules
        if module == entry or (entry != "cellharness" and module.startswith(f"{entry}."))
    ]
    return max(found, default=(0, ""))[1]


def imports(body: list[ast.stmt], *, at_start: bool) -> Iterator[tuple[int, str]]:
    """Line and module of each import; `at_start` leaves out what runs later or never."""
    for node in body:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        never = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_start and (later or never):
            if never:
                yield from imports(node.orelse, at_start=True)
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where they lead"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in SOURCES else str(node.module)
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from imports(getattr(node, name, []), at_start=at_start)


def test_the_reader_finds_imports_wherever_they_stand():
    source = """
import a
if TYPE_CHECKING:
    import b
try:
    import c
except ImportError:
    import d
def f():
    with x:
        from cellharness import api
"""
    body = ast.parse(source).body
    assert [name for _, name in imports(body, at_start=True)] == ["a", "c", "d"]
    everywhere = [name for _, name in imports(body, at_start=False)]
    assert everywhere == ["a", "b", "c", "d", "cellharness.api"]


def test_every_module_has_a_room():
    assert not [module for module in SOURCES if not room_of(module)]
    listed = [module for room in ROOMS.values() for module in room.modules]
    assert len(listed) == len(set(listed))
    assert not set(listed) - SOURCES.keys()


def test_rooms_are_known_and_without_circles():
    assert {other for room in ROOMS.values() for other in room.may_import} <= ROOMS.keys()
    assert max(levels(ROOMS).values()) > 0


def test_imports_go_where_the_table_allows():
    wrong = []
    for module, source in SOURCES.items():
        room = ROOMS[room_of(module)]
        for line, target in imports(ast.parse(source).body, at_start=False):
            if target.split(".")[0] in ("cellharness", _ADAPTERS):
                other = room_of(target)
                if other not in room.may_import | {room.name}:
                    wrong.append(f"{module}, line {line}: {room.name} imports {target} ({other})")
    assert not wrong, f"not allowed by {PAGE.name}:\n" + "\n".join(wrong)


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {
        module: {
            target
            for _, target in imports(ast.parse(source).body, at_start=True)
            if target in SOURCES and target != module
        }
        for module, source in SOURCES.items()
    }
    # Raises CycleError, which names the modules of the circle.
    graphlib.TopologicalSorter(graph).prepare()


def test_adapters_are_named_in_one_place():
    naming = {
        module
        for module, source in SOURCES.items()
        if module.startswith("cellharness.")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and str(node.value).startswith(_ADAPTERS)
    }
    assert naming == {_FINDER}


@pytest.mark.slow
@pytest.mark.parametrize(
    "never", sorted({room.never_loads for room in ROOMS.values() if room.never_loads}), ids=" ".join
)
def test_rooms_load_nothing_that_they_do_without(never):
    modules = [
        module
        for module in SOURCES
        if ROOMS[room_of(module)].never_loads == never and not module.endswith("__main__")
    ]
    code = f"""
import importlib, sys
# Not ours to load: where it is installed, training's library takes it, and it takes matplotlib.
sys.modules["torchmetrics"] = None
for module in {modules!r}:
    importlib.import_module(module)
    loaded = sys.modules.keys() & {set(never)!r}
    if loaded:
        sys.exit(f"{{module}} loads {{', '.join(loaded)}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_drawing_shows_the_table():
    assert DRAWING.read_text(encoding="utf-8") == draw(ROOMS), "run: python tests/room_drawing.py"
