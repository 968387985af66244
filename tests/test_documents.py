"""What the documents point to is there: files, and commands with their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli.root import commands

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "certs" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FILE = re.compile(r"`((?:gateway|tests|bench|docs|systemd|certs|\.ci)/[\w./-]+)`")
_LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
_COMMAND = re.compile(r"(?:^|[\s/;])gateway ((?:--config \S+ )?[a-z][^;|#]*)")
_OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    missing = [name for name in _FILE.findall(text) if not (ROOT / name).exists()]
    missing += [name for name in _LINK.findall(text) if not (page.parent / name).exists()]
    assert missing == []


def typed(text: str) -> Iterator[str]:
    """What stands after `gateway` in code spans and in lines of code."""
    code = [line.partition("  #")[0] for line in text.splitlines() if line.startswith("    ")]
    for piece in [*code, *re.findall(r"`([^`\n]+)`", text)]:
        yield from _COMMAND.findall(piece)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_names_exist_with_their_options(page: Path) -> None:
    for words in typed(page.read_text()):
        command: click.Command = commands()
        known = set(_options(command))
        for word in words.split():
            if isinstance(command, click.Group) and not word.startswith("-") and word.isalpha():
                assert word in command.commands, f"gateway {words}: there is no command {word}"
                command = command.commands[word]
                known |= set(_options(command))
        unknown = set(_OPTION.findall(" " + words)) - known
        assert not unknown, f"gateway {words}: {unknown}"


def _options(command: click.Command) -> list[str]:
    return [name for parameter in command.params for name in parameter.opts]
