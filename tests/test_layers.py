"""Holds the import layers of docs/architecture.md: reads each module's imports, runs none of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

GATEWAY = Path(__file__).resolve().parent.parent / "gateway"

BELOW_INGEST = {"model", "mime", "wire", "store"}
BELOW_SUBMIT = BELOW_INGEST | {"ingest", "auth", "outbound"}
BELOW_PROTOCOLS = BELOW_SUBMIT | {"submit"}
BELOW_CONNECTORS = BELOW_PROTOCOLS | {"fields", "upstream", "oauth"}
BELOW_WEB = BELOW_PROTOCOLS | {"access"}
BELOW_APP = BELOW_CONNECTORS | {"access", "web", "imap", "smtp", "delivery", "connectors", "maintain", "config", "ops"}

ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "mime": {"model"},
    "wire": {"model"},
    "store": {"model", "mime"},
    "ingest": BELOW_INGEST,
    "auth": BELOW_INGEST | {"ingest"},
    "outbound": BELOW_INGEST | {"ingest"},
    "upstream": {"model", "mime", "wire", "outbound"},
    "oauth": BELOW_INGEST | {"outbound"},
    "submit": BELOW_SUBMIT,
    "access": BELOW_PROTOCOLS,
    "web": BELOW_WEB,
    "maintain": BELOW_INGEST | {"ingest"},
    "imap": BELOW_PROTOCOLS,
    "smtp": BELOW_PROTOCOLS,
    "delivery": BELOW_PROTOCOLS,
    "connectors": BELOW_CONNECTORS,
    "fields": {"model"},
    "config": {"model", "fields"},
    "ops": {"config", "fields"},
    "control": BELOW_APP,
    "app": BELOW_APP | {"control"},
    "cli": BELOW_APP | {"control", "app"},
    "testing": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
"""package (or top-level module) -> the packages of ours that it may import besides itself."""


def imports_of(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, top-level package of ours) for each import in `source`, a module inside `package` (a dotted path)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, node.module)) if node.module else ".".join(base)
            # `from gateway import store` names its package only in the list
            names = [f"{stem}.{alias.name}" for alias in node.names] if stem == "gateway" else [stem]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "gateway" and len(parts) > 1:
                yield node.lineno, parts[1]


def modules() -> list[Path]:
    return sorted(GATEWAY.rglob("*.py"))


def unit_of(path: Path) -> str:
    return path.relative_to(GATEWAY).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(GATEWAY)))
def test_imports_follow_the_layers(path: Path) -> None:
    unit = unit_of(path)
    assert unit in ALLOWED, f"{unit} is no package of docs/architecture.md; give it a layer here"
    package = ("gateway", *path.relative_to(GATEWAY).parts[:-1])
    wrong = [
        f"{path.name}:{line} imports {target}"
        for line, target in imports_of(path.read_text(), package)
        if target != unit and target not in ALLOWED[unit] and target in ALLOWED
    ]
    assert not wrong, f"{unit} may import {sorted(ALLOWED[unit])} only"


def test_the_layers_have_no_circle() -> None:
    order: list[str] = []
    waiting = dict(ALLOWED)
    while waiting:
        ready = [unit for unit, below in waiting.items() if below <= set(order)]
        assert ready, f"these import each other: {sorted(waiting)}"
        order += ready
        for unit in ready:
            del waiting[unit]


@pytest.mark.parametrize(
    ("source", "package", "found"),
    [
        ("import gateway.store.db", "gateway.wire", ["store"]),
        ("from gateway.store import db", "gateway.wire", ["store"]),
        ("from gateway import store, model", "gateway.wire", ["store", "model"]),
        ("from ..store import db", "gateway.wire", ["store"]),
        ("from .. import store", "gateway.wire", ["store"]),
        ("from .tokens import x", "gateway.wire", ["wire"]),
        ("from ...model import x", "gateway.wire.deep", ["model"]),
        ("def f():\n    from gateway.cli import main", "gateway.wire", ["cli"]),
        ("import asyncio, os.path", "gateway.wire", []),
    ],
)
def test_the_reader_of_imports_sees_every_form(source: str, package: str, found: list[str]) -> None:
    assert [target for _, target in imports_of(source, tuple(package.split(".")))] == found
