"""Mail into files: a directory of .eml files, an mbox, a Maildir. Knows no store; all of it blocks.

.eml files hold the stored octets. mbox and Maildir are kept in Unix's local form (LF), for that is what their programs
read; import turns it back, so that a message whose lines all end with CRLF comes back octet for octet (an mbox adds a
line end to a message that lacks its last one). Nothing that exists is overwritten.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from gateway.model.errors import AlreadyExists
from gateway.model.ids import ContentId

from . import maildir
from .mbox import MboxWriter
from .octets import ToLf
from .sources import Format


@dataclass(frozen=True, slots=True)
class ExportedMessage:
    """What goes with one message's octets; `flags` is the mask of system flags, `keywords` are names."""

    mailbox: str
    uidvalidity: int
    uid: int
    date: int
    size: int
    flags: int
    keywords: tuple[str, ...]
    content_id: ContentId


class Target(Protocol):
    """`begin`, any number of `write` (the header with its blank line first), `end`; `close` at last."""

    keywords_lost: int
    """Keywords that the format had no room for."""

    def begin(self, message: ExportedMessage) -> None: ...

    def write(self, chunk: bytes) -> None: ...

    def end(self) -> None: ...

    def drop(self) -> None:
        """Instead of `end`: the message could not be read to its end."""

    def close(self) -> None: ...


def refuse_existing(path: Path, form: Format) -> None:
    """AlreadyExists when something is there: an mbox, or a directory that is not empty."""
    if path.exists() and not (path.is_dir() and form is not Format.MBOX and not any(path.iterdir())):
        raise AlreadyExists(f"{path} exists already")


def open_target(path: Path, form: Format) -> Target:
    """Make the file or directory. Errors as `refuse_existing`."""
    refuse_existing(path, form)
    if form is Format.MBOX:
        return MboxTarget(path)
    return EmlTarget(path) if form is Format.EML else MaildirTarget(path)


class EmlTarget:
    """`UID.eml`; the file's mtime is when the message arrived. Flags and keywords have no place in it."""

    keywords_lost = 0

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: BinaryIO | None = None
        self._message: ExportedMessage | None = None

    def begin(self, message: ExportedMessage) -> None:
        self._message = message
        self._file = self._name(message).open("xb")

    def _name(self, message: ExportedMessage) -> Path:
        return self._path / f"{message.uid:010}.eml"

    def write(self, chunk: bytes) -> None:
        assert self._file is not None  # begun
        self._file.write(chunk)

    def end(self) -> None:
        assert self._file is not None
        assert self._message is not None
        self._file.close()
        name = self._name(self._message)
        os.utime(name, (self._message.date, self._message.date))

    def drop(self) -> None:
        assert self._file is not None
        assert self._message is not None
        self._file.close()
        self._name(self._message).unlink()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class MboxTarget:
    """One file in the `rd` dialect with Status, X-Status and X-Keywords. A dropped message leaves no trace in it."""

    keywords_lost = 0

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._writer: MboxWriter | None = None
        self._start = 0
        self._in_header = True

    def begin(self, message: ExportedMessage) -> None:
        self._start = self._file.tell()
        self._in_header = True
        self._writer = MboxWriter(sender=b"", date=message.date, flags=message.flags, keywords=message.keywords)

    def write(self, chunk: bytes) -> None:
        assert self._writer is not None
        self._file.write(self._writer.header(chunk) if self._in_header else self._writer.feed(chunk))
        self._in_header = False

    def end(self) -> None:
        assert self._writer is not None
        self._file.write(self._writer.finish())

    def drop(self) -> None:
        self._file.seek(self._start)
        self._file.truncate()

    def close(self) -> None:
        self._file.close()


class MaildirTarget:
    """A Maildir, each message written in `tmp` and renamed into `cur` with its flags."""

    def __init__(self, path: Path) -> None:
        maildir.make(path)
        self._path = path
        self._letters: dict[str, str] = {}
        self.keywords_lost = 0
        """Keywords that found no letter: a Maildir has 26."""
        self._file: BinaryIO | None = None
        self._message: ExportedMessage | None = None
        self._ends = ToLf()
        self._size = 0

    def begin(self, message: ExportedMessage) -> None:
        self._message = message
        self._ends, self._size = ToLf(), 0
        self._file = self._temporary(message).open("xb")

    def _temporary(self, message: ExportedMessage) -> Path:
        return self._path / "tmp" / f"{message.uidvalidity}_{message.uid}.gateway"

    def write(self, chunk: bytes) -> None:
        assert self._file is not None
        self._size += self._file.write(self._ends.feed(chunk))

    def end(self) -> None:
        assert self._file is not None
        assert self._message is not None
        message = self._message
        self._size += self._file.write(self._ends.finish())
        self._file.close()
        letters, lost = maildir.letters_of(message.keywords, self._letters)
        self.keywords_lost += lost
        name = maildir.file_name(
            date=message.date,
            uidvalidity=message.uidvalidity,
            uid=message.uid,
            size=self._size,
            flags=message.flags,
            letters=letters,
        )
        os.utime(self._temporary(message), (message.date, message.date))
        self._temporary(message).rename(self._path / "cur" / name)

    def drop(self) -> None:
        assert self._file is not None
        assert self._message is not None
        self._file.close()
        self._temporary(self._message).unlink()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._letters:
            with contextlib.suppress(FileNotFoundError):  # the directory was taken away: nothing to describe
                maildir.write_keywords(self._path, self._letters)
