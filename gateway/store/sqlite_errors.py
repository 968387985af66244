"""What SQLite's result codes mean to a caller: an outage that passes, a failed disk, or a defect of ours."""

from __future__ import annotations

from typing import Final

from gateway.model.errors import GatewayError, Unavailable

# Result codes (low octet) that say "not now" rather than "defect": BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
OUTAGE_CODES: Final = frozenset({5, 6, 7, 8, 10, 13, 14})
BUSY: Final = 5
IOERR: Final = 10
FULL: Final = 13
READONLY: Final = 8
CORRUPTIONS: Final = frozenset({11, 26})
"""CORRUPT, NOTADB: the file is not what was written."""


def error_code(error: BaseException) -> int | None:
    """The primary SQLite result code of a driver error."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def translate(error: BaseException) -> BaseException:
    """Driver errors that mean an outage become Unavailable; all else stays what it is."""
    if not isinstance(error, GatewayError) and error_code(error) in OUTAGE_CODES:
        unavailable = Unavailable("The store cannot do this now (disk full or failing); try again later")
        unavailable.__cause__ = error
        return unavailable
    return error


def is_io_error(error: BaseException | None) -> bool:
    """The disk failed: nothing may be written any more until restart."""
    return error is not None and error_code(error) == IOERR
