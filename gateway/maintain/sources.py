"""Mail in files, as one stream of messages whatever the format: .eml files, mbox, Maildir and Maildir++.

Knows no store: the command line reads files in its own process and sends the messages to whoever holds the store.
All of it blocks; call it in a thread. No message is held whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gateway.model.errors import InvalidRequest

from . import maildir
from .mbox import MboxReader, Quoting, is_from_line
from .octets import ToCrlf

PIECE: Final = 64 * 1024
_FIELD: Final = re.compile(rb"[!-9;-~]+[ \t]*:")  # RFC 5322 3.6.8: the beginning of a header field


class Format(StrEnum):
    EML = "eml"
    MBOX = "mbox"
    MAILDIR = "maildir"


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One message: `read` gives its octets piece by piece and b"" at the end, and is valid till the next message.

    `folder` is the mailbox below the one that is imported into ("" for that itself, `/` between levels), `date` when
    it arrived (Unix seconds; None: unknown), `where` names it to a person, `done` counts octets of the source
    behind it, for a progress bar.
    """

    where: str
    folder: str
    date: int | None
    flags: int
    keywords: tuple[str, ...]
    read: Callable[[], bytes]
    done: int


def guess_format(path: Path) -> Format:
    """By what stands there. InvalidRequest when it is nothing we read."""
    if path.is_dir():
        if maildir.is_maildir(path):
            return Format.MAILDIR
        return Format.EML
    if not path.is_file():
        raise InvalidRequest(f"{path} is no file and no directory")
    with path.open("rb") as file:
        first = file.readline(1_000)
    if is_from_line(first):
        return Format.MBOX
    if path.suffix.lower() != ".eml" and not _FIELD.match(first):
        raise InvalidRequest(f"{path} begins neither as an mbox nor as a message; say --format eml if it is one")
    return Format.EML


def total_octets(path: Path, form: Format) -> int:
    """What `SourceMessage.done` runs up to."""
    if form is Format.MAILDIR:
        return sum(message.size for folder in maildir.folders(path) for message in maildir.messages(folder.path))
    return sum(file.stat().st_size for file in _files(path))


def read_source(path: Path, form: Format, *, quoting: Quoting = Quoting.RD) -> Iterator[SourceMessage]:
    """Each message of `path`: a file, a directory of .eml files, an mbox, a Maildir with its Maildir++ children."""
    if form is Format.MAILDIR:
        if not maildir.is_maildir(path):
            raise InvalidRequest(f"{path} is no Maildir: it lacks cur and new")
        return _from_maildir(path)
    if not path.exists():
        raise InvalidRequest(f"{path} is no file and no directory")
    if form is Format.MBOX:
        return _from_mbox(path, quoting)
    return _from_eml(path)


def _files(path: Path) -> list[Path]:
    """The file itself, or the .eml files of a directory by name."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() == ".eml" and file.is_file())


def _from_eml(path: Path) -> Iterator[SourceMessage]:
    """The date is the message's own: when a file was saved says little."""
    done = 0
    for file in _files(path):
        done += file.stat().st_size
        yield from _one_file(file, file.name, "", None, 0, (), done)


def _from_maildir(path: Path) -> Iterator[SourceMessage]:
    done = 0
    for folder in maildir.folders(path):
        for message in maildir.messages(folder.path):
            done += message.size
            where = f"{folder.name or 'INBOX'}: {message.path.name}"
            if message.path.exists():  # a mail program beside us may rename it (flags) or take it away
                yield from _one_file(
                    message.path, where, folder.name, message.date, message.flags, message.keywords, done
                )


def _one_file(
    path: Path, where: str, folder: str, date: int | None, flags: int, keywords: tuple[str, ...], done: int
) -> Iterator[SourceMessage]:
    with path.open("rb") as file:
        ends = ToCrlf()
        yield SourceMessage(where, folder, date, flags, keywords, lambda: ends.feed(file.read(PIECE)), done)


def _from_mbox(path: Path, quoting: Quoting) -> Iterator[SourceMessage]:
    with path.open("rb", buffering=PIECE) as file:
        reader = MboxReader(file, quoting)
        while (entry := reader.next()) is not None:
            where = f"message at octet {entry.offset}"
            yield SourceMessage(where, "", entry.date, entry.flags, entry.keywords, reader.read, reader.position)
