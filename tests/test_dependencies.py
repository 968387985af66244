"""Holds that each library the code imports is declared in pyproject.toml, pinned in constraints.txt, and used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"gateway", "tests", "bench"}
TOOLS = {"ruff", "mypy", "pytest-xdist"}
"""Run, never imported."""


def plain(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    return {plain(re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0]) for text in requirements}


@cache
def imported(tree: str) -> frozenset[str]:
    """Distributions that the modules below `tree` import, but for Python's own and ours."""
    found: set[str] = set()
    for path in (ROOT / tree).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    providers = packages_distributions()
    foreign = found - OURS - sys.stdlib_module_names
    return frozenset(plain(providers.get(name, [name])[0]) for name in foreign)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = declared(PROJECT["dependencies"])
TEST = declared(PROJECT["optional-dependencies"]["test"])


def test_what_is_imported_is_declared() -> None:
    assert imported("gateway") - RUN == set()
    assert (imported("tests") | imported("bench")) - RUN - TEST == set()


def test_what_is_declared_is_used() -> None:
    # Found by their names: gateway/ops/loop.py, gateway/web/bridge.py.
    assert RUN - imported("gateway") == {"uvloop", "httptools", "websockets", "python-multipart"}
    assert TEST - imported("tests") - imported("bench") - TOOLS == set()


@pytest.mark.parametrize("name", sorted(RUN | TEST))
def test_what_is_declared_is_pinned(name: str) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert name in {plain(line.partition("==")[0]) for line in lines if "==" in line}
