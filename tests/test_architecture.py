"""The one-way flow of the design, read from the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "checks", "devices", "embedded", "lazy", "parallel", "paths", "wording"}),
    frozenset({"photo", "matte", "prompts", "samples"}),
    frozenset({"nets", "refine", "compose", "metrics"}),
    frozenset({"faces", "finish", "quantize"}),
    frozenset({"catalog", "weights"}),
    frozenset({"models"}),
    frozenset({"training"}),
    frozenset({"comparison"}),
    frozenset({"render", "evaluation", "export"}),
    frozenset({"doctor"}),
    frozenset({"cli", "ui"}),
    frozenset({"remback"}),
    frozenset({"__main__"}),
)
"""Rooms from left to right: each imports from layers to its left and from itself."""

STRANGERS = (frozenset({"nets", "refine", "compose", "metrics"}), frozenset({"cli", "ui"}))
"""Rooms that share a layer and yet do not know each other."""

MODULES = sorted(
    path for path in (ROOT / "arena").rglob("*.py") if path.name != "__init__.py" or path.parent.name != "arena"
)


def room(module: str) -> str:
    return module.removeprefix("arena.").split(".")[0]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "arena":
                yield from (f"arena.{alias.name}" for alias in node.names)
            else:
                yield node.module


def layer(name: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_rooms_to_its_left(path: Path) -> None:
    here = room(name_of(path))
    for module in imports(path):
        if not module.startswith("arena."):
            continue
        there = room(module)
        # `arena.cli` asks the package itself for its version and its folder.
        if there == here or module == "arena.__version__":
            continue
        assert layer(there) <= layer(here), f"{name_of(path)} imports {module}"
        assert not any({here, there} <= rooms for rooms in STRANGERS), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_streamlit_is_imported_by_the_page_alone(path: Path) -> None:
    if any(module.split(".")[0] == "streamlit" for module in imports(path)):
        assert room(name_of(path)) == "ui"


@pytest.mark.parametrize(
    "module",
    [
        "arena",
        "arena.cli.app",
        "arena.comparison",
        "arena.ui.pages.compare",
        "arena.ui.pages.draw",
        "arena.ui.pages.replace",
    ],
)
def test_what_starts_first_imports_nothing_heavy(module: str) -> None:
    heavy = ("torch", "transformers", "ultralytics", "kornia", "huggingface_hub", "cv2", "scipy")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_importing_arena_imports_nothing_but_itself() -> None:
    code = "import sys, arena; print('numpy' in sys.modules, 'PIL' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "False False"
