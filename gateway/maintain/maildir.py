"""Maildir and Maildir++: a directory a mailbox, a file a message, flags in the file's name.

`cur/NAME:2,FLAGS` holds a message that some program has seen, `new/NAME` one that none has; `tmp/` is never read.
Maildir++ keeps child mailboxes as directories `.Parent.Child` beside `cur`, their names in modified UTF-7.
Letters a-z are keywords by Dovecot's `dovecot-keywords` file (number, name), which we read and write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from gateway.wire import mutf7

LETTERS: Final[Mapping[str, int]] = {"D": DRAFT, "F": FLAGGED, "R": ANSWERED, "S": SEEN, "T": DELETED}
PASSED: Final = "P"
FORWARDED: Final = "$Forwarded"
KEYWORDS_FILE: Final = "dovecot-keywords"
MAX_KEYWORD_LETTERS: Final = 26


@dataclass(frozen=True, slots=True)
class MaildirMessage:
    """One file; `date` (Unix seconds, the file's mtime) is when the message arrived."""

    path: Path
    size: int
    date: int
    flags: int
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MaildirFolder:
    """`name` is the mailbox's name below the Maildir with `/` between levels, "" for the top one."""

    name: str
    path: Path


def is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def folders(root: Path) -> list[MaildirFolder]:
    """The Maildir itself and its Maildir++ children, by name."""
    found = [MaildirFolder("", root)]
    for entry in os.scandir(root):
        if not entry.name.startswith(".") or entry.name in {".", ".."} or not entry.is_dir():
            continue
        child = Path(entry.path)
        if is_maildir(child):
            found.append(MaildirFolder(_name(entry.name[1:]), child))
    return sorted(found, key=lambda folder: folder.name)


def messages(folder: Path) -> Iterator[MaildirMessage]:
    """Each message in order of arrival (mtime, then name). Holds names and dates, not octets."""
    words = read_keywords(folder)
    rows: list[tuple[int, str, Path, int]] = []
    for part in ("cur", "new"):
        for entry in os.scandir(folder / part):
            if entry.name.startswith(".") or not entry.is_file():
                continue
            status = entry.stat()
            rows.append((int(status.st_mtime), entry.name, Path(entry.path), status.st_size))
    for date, name, path, size in sorted(rows):
        flags, keywords = parse_info(name, words)
        yield MaildirMessage(path, size, max(date, 0), flags, keywords)


def parse_info(name: str, words: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
    """Flags and keywords of a file name: what follows `:2,` (other info versions say nothing)."""
    _, colon, letters = name.rpartition(":2,")
    if not colon:
        return 0, ()
    flags = 0
    keywords: list[str] = []
    for letter in letters.partition(",")[0]:  # Dovecot may add further fields after a comma
        flags |= LETTERS.get(letter, 0)
        if letter == PASSED:
            keywords.append(FORWARDED)
        elif letter in words:
            keywords.append(words[letter])
    return flags, tuple(dict.fromkeys(keywords))


def file_name(*, date: int, uidvalidity: int, uid: int, size: int, flags: int, letters: str) -> str:
    """A name unique in the mailbox for ever (UIDVALIDITY and UID are), with the flag letters in ASCII order."""
    system = "".join(letter for letter, flag in LETTERS.items() if flags & flag)
    return f"{date}.{uidvalidity}_{uid}.gateway,S={size}:2,{''.join(sorted(system + letters))}"


def letters_of(keywords: Sequence[str], table: dict[str, str]) -> tuple[str, int]:
    """The letters of `keywords`, and how many found none; `table` (keyword -> letter) grows up to 26."""
    letters = ""
    lost = 0
    for word in keywords:
        if word.lower() == FORWARDED.lower():
            letters += PASSED
        elif word in table:
            letters += table[word]
        elif len(table) < MAX_KEYWORD_LETTERS:
            table[word] = chr(ord("a") + len(table))
            letters += table[word]
        else:
            lost += 1
    return letters, lost


def read_keywords(folder: Path) -> dict[str, str]:
    """Letter -> keyword of the folder's `dovecot-keywords`; empty without one. Other lines are passed over."""
    path = folder / KEYWORDS_FILE
    words: dict[str, str] = {}
    if not path.is_file():
        return words
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        number, _, word = line.strip().partition(" ")
        if number.isdigit() and int(number) < MAX_KEYWORD_LETTERS and word:
            words[chr(ord("a") + int(number))] = word
    return words


def write_keywords(folder: Path, table: Mapping[str, str]) -> None:
    lines = sorted((ord(letter) - ord("a"), word) for word, letter in table.items())
    (folder / KEYWORDS_FILE).write_text("".join(f"{number} {word}\n" for number, word in lines), encoding="ascii")


def make(root: Path, parts: Iterable[str] = ("cur", "new", "tmp")) -> None:
    for part in parts:
        (root / part).mkdir(parents=True, exist_ok=True)


def _name(directory: str) -> str:
    levels = []
    for level in directory.split("."):
        try:
            levels.append(mutf7.decode(level.encode("ascii")))
        except (UnicodeError, ValueError):
            levels.append(level.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return "/".join(levels)
