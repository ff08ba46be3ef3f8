"""Habits of the package that no linter checks."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hglm

PACKAGE = Path(hglm.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NOT_AT_IMPORT = ("matplotlib", "statsmodels", "patsy", "polars", "scipy.stats")


def module_id(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def imports_inside_functions(tree: ast.Module) -> Iterator[str]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                yield node.module or ""
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=module_id)
def test_no_function_imports_hglm_where_a_cycle_could_hide(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    hidden = [name for name in imports_inside_functions(tree) if name.split(".")[0] == "hglm"]
    assert hidden == []


@pytest.mark.parametrize("module", MODULES, ids=module_id)
def test_no_file_grows_above_400_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_importing_hglm_leaves_heavy_packages_alone() -> None:
    script = f"import sys, hglm; print(*(set({NOT_AT_IMPORT!r}) & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
