"""How a setting documents itself: every field's type is `Annotated[type, Setting(text, unit, bounds)]`.

The loader, `config.example.toml`, `docs/configuration.md`, `gateway config show` and the reload on SIGHUP all read
these annotations, so that none of them can drift from the code.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.model.errors import ConfigError


class Secret:
    """A text that no `repr`, log or error shows; `reveal()` gives it to whoever really needs it.

    `withheld` says why it cannot be read here: a systemd credential is for the service alone, and commands beside it,
    which need no secret, must work all the same.
    """

    __slots__ = ("_text", "withheld")

    def __init__(self, text: str = "", *, withheld: str = "") -> None:
        self._text = text
        self.withheld = withheld

    def reveal(self) -> str:
        """ConfigError when it is withheld."""
        if self.withheld:
            raise ConfigError(self.withheld)
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text or self.withheld)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self.withheld) == (other._text, other.withheld)

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one field beyond its type.

    `unit` is a word for people (seconds, octets …). `low` and `high` are inclusive bounds of a number. `reloadable`:
    a SIGHUP takes a new value at once; everything else waits for a restart. `check` returns a reason against a value
    or None. `secret`: never shown, and may be given as `file:PATH`, `env:NAME` or `credential:NAME`. `lines`: a text
    that may have several lines.
    """

    doc: str
    unit: str = ""
    low: int | None = None
    high: int | None = None
    reloadable: bool = False
    secret: bool = False
    check: Callable[[Any], str | None] | None = None
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of one section, as the loader and the writers of documents see it."""

    name: str
    type: Any
    default: Any
    setting: Setting

    @property
    def key(self) -> str:
        """The name in the file: without the underscore that keeps `from` apart from Python's word."""
        return self.name.removesuffix("_")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words a Literal field takes; empty for all other types."""
        return typing.get_args(self.base) if typing.get_origin(self.base) is typing.Literal else ()

    @property
    def optional(self) -> bool:
        return type(None) in typing.get_args(self.type)

    @property
    def base(self) -> Any:
        """The type without `| None`."""
        if typing.get_origin(self.type) in {types.UnionType, typing.Union}:
            return next(kind for kind in typing.get_args(self.type) if kind is not type(None))
        return self.type

    @property
    def kind(self) -> str:
        """The type in words of TOML, for errors and the manual."""
        if self.choices:
            return "one of " + ", ".join(f'"{word}"' for word in self.choices)
        if typing.get_origin(self.base) is tuple:
            item = typing.get_args(self.base)[0]
            return "list of numbers" if item is int else "list of texts"
        words = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", Secret: "text"}
        return words[self.base]


def fields_of(section: type[Any]) -> tuple[Field, ...]:
    """The settings of a section class, in the order they are written."""
    hints = typing.get_type_hints(section, include_extras=True)
    found = []
    for field in dataclasses.fields(section):
        kind, setting = typing.get_args(hints[field.name])
        found.append(Field(field.name, kind, field.default, setting))
    return tuple(found)


def describe(section: type) -> tuple[str, str]:
    """(first line, rest) of a section's docstring: its text in the documents."""
    head, _, rest = (section.__doc__ or "").strip().partition("\n")
    return head.strip(), " ".join(line.strip() for line in rest.strip().splitlines() if line.strip())


def settings_of(root: type) -> Iterator[tuple[str, type[Any], bool]]:
    """(name, section class, is a list of tables) of each section of the configuration."""
    hints = typing.get_type_hints(root)
    for field in dataclasses.fields(root):
        hint = hints[field.name]
        repeated = typing.get_origin(hint) is tuple
        yield field.name, typing.get_args(hint)[0] if repeated else hint, repeated
