"""What the tables share: their metadata, and kinds of columns.

Rules that hold for all tables:
- Everything derived from mail is `Octets` (BLOB, `bytea`): PostgreSQL's text refuses NUL and broken UTF-8.
- Truth values are 0 or 1 in a small integer, times are Unix seconds UTC, so that rows read the same on both dialects.
- Ids that something outside this process may remember are never used again (AUTOINCREMENT, identity columns).
- Foreign keys stand on cold tables only. Hot tables (message, content) are held together by the units that write
  them and proved by `store.check`; a foreign key there costs a look-up a row and locks the parent on PostgreSQL.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, MetaData, SmallInteger, text

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Big: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite: only INTEGER PRIMARY KEY is the rowid
Octets: Final = LargeBinary()


def id_column() -> Column[Any]:
    return Column("id", Big, Identity(), primary_key=True)


def flag(name: str, default: int = 0) -> Column[Any]:
    return Column(name, SmallInteger, nullable=False, server_default=text(str(default)))


def counter(name: str, default: int = 0) -> Column[Any]:
    return Column(name, Big, nullable=False, server_default=text(str(default)))
