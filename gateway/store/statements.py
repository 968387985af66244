"""SQL statements: written once, compiled once a dialect to driver text, run on the raw driver connection.

A statement is text with `:name` binds, an SQLAlchemy Core construct, or one text for each dialect where they
differ. Executing driver text costs a quarter of executing a Core construct, which is why Core stops at the schema,
the migrations and cold statements that are easier to compose than to write.

Lists are bound whole: `uid IN :LIST(uids)` (integers) and `name IN :TEXTS(names)` become a `json_each` table on
SQLite and an array on PostgreSQL. In a text of SQLite's own, a list bound inside `json_each(:name)` is turned
into JSON. Writing `IN :LIST(x)` never expands the text, so one compiled statement serves any length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql import ClauseElement

DialectName = Literal["sqlite", "postgresql"]

_BIND: Final = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)(?!\w*\()")
_IN: Final = re.compile(r"\bIN\s+:(LIST|TEXTS)\((\w+)\)")
_JSON_BIND: Final = re.compile(r"json_each\(:(\w+)\)")
_ARRAY_BIND: Final = re.compile(r"CAST\(:(\w+) AS \w+\[\]\)")
_ARRAY_TYPE: Final[Mapping[str, str]] = {"LIST": "bigint", "TEXTS": "text"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """Driver text with the values that the construct itself carries and the binds that hold lists."""

    sql: str
    defaults: Mapping[str, Any]
    lists: frozenset[str]


class Stmt:
    """One statement for both dialects. Make them at module level: compiling is done once, on first use."""

    __slots__ = ("_postgresql", "_sources", "_sqlite")

    def __init__(
        self,
        source: str | ClauseElement | None = None,
        *,
        sqlite: str | ClauseElement | None = None,
        postgresql: str | ClauseElement | None = None,
    ) -> None:
        """`source` serves a dialect that has no text of its own."""
        self._sources = {"sqlite": sqlite or source, "postgresql": postgresql or source}
        self._sqlite: Compiled | None = None
        self._postgresql: Compiled | None = None

    def for_sqlite(self) -> Compiled:
        """Text with `:name` binds for the sqlite3 driver."""
        if self._sqlite is None:
            self._sqlite = self._compile("sqlite")
        return self._sqlite

    def for_postgresql(self) -> Compiled:
        """Text with `%(name)s` binds for psycopg."""
        if self._postgresql is None:
            self._postgresql = self._compile("postgresql")
        return self._postgresql

    def _compile(self, dialect: DialectName) -> Compiled:
        source = self._sources[dialect]
        if source is None:
            raise TypeError(f"this statement has no text for {dialect}")
        if isinstance(source, str):
            return _from_text(source, dialect)
        return _from_core(source, dialect)


def _from_text(text: str, dialect: DialectName) -> Compiled:
    if dialect == "sqlite":
        text = _IN.sub(lambda found: f"IN (SELECT value FROM json_each(:{found[2]}))", text)
        return Compiled(text, {}, frozenset(_JSON_BIND.findall(text)))
    text = _IN.sub(lambda found: f"= ANY (CAST(:{found[2]} AS {_ARRAY_TYPE[found[1]]}[]))", text)
    lists = frozenset(_ARRAY_BIND.findall(text))

    def placeholder(found: re.Match[str]) -> str:
        # Arrays go in binary: as text each octet of a body would be escaped by a regular expression.
        return f"%({found[1]}){'b' if found[1] in lists else 's'}"

    return Compiled(_BIND.sub(placeholder, text.replace("%", "%%")), {}, lists)


@cache
def _core_dialect(name: DialectName) -> Dialect:
    """Imported by the first construct: texts need no SQLAlchemy, which is a quarter of a reader process's start."""
    from sqlalchemy.dialects import postgresql, sqlite

    if name == "sqlite":
        return sqlite.dialect(paramstyle="named")
    return postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


def _from_core(construct: ClauseElement, dialect: DialectName) -> Compiled:
    compiled = construct.compile(dialect=_core_dialect(dialect))
    defaults = {name: value for name, value in compiled.params.items() if value is not None}
    return Compiled(str(compiled), defaults, frozenset())


def bind(compiled: Compiled, params: dict[str, Any], taken: type, turn: Callable[[Any], Any]) -> dict[str, Any]:
    """Add the construct's own values; lists that the driver does not take as they are (`taken`) are turned."""
    if compiled.defaults:
        params = {**compiled.defaults, **params}
    for name in compiled.lists:
        value = params[name]
        if not isinstance(value, taken):
            params[name] = turn(value)
    return params


def json_list(values: Sequence[Any]) -> str:
    """The JSON text under which a list is bound on SQLite."""
    return json.dumps(list(values), separators=(",", ":"))
