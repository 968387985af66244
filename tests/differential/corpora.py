"""Where the mail comes from that both servers are given.

The standard library's `test_email` data, flufl.bounce's sdist and wildduck's npm package lie where `make` puts them;
mailparser and libmime ship no messages (3.14.2 and 5.6.4, nor their older ones). `broken.py` is hand-made.
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from bench import corpus as bench
from tests.differential import broken

ARCHIVES: Final = Path(sys.prefix) / "corpora"  # where the Makefile puts flufl.bounce's sdist and wildduck's package
MESSAGES_OF: Final = {
    "flufl_bounce-*.tar.gz": re.compile(r"/tests/data/[^/]+\.txt\Z"),
    "wildduck-*.tgz": re.compile(r"/fixtures/[^/]+\.eml\Z"),
}
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_LARGE: Final = 1_000_000


class Mail(NamedTuple):
    """`name` says from where, for an error's text and for the table of accepted differences."""

    name: str
    octets: bytes

    @property
    def large(self) -> bool:
        return len(self.octets) > _LARGE


def crlf(octets: bytes) -> bytes:
    """With CRLF alone: Dovecot stores what came with bare LF so, where we keep it (parsing.md)."""
    return _BARE_LF.sub(b"\r\n", octets)


def missing() -> list[str]:
    """The corpora that are not there."""
    lacking = [pattern for pattern in MESSAGES_OF if not list(ARCHIVES.glob(pattern))]
    return [*lacking, *([] if _library() is not None else ["test.test_email"])]


def _library() -> Path | None:
    spec = find_spec("test.test_email")
    return Path(spec.origin).parent / "data" if spec is not None and spec.origin is not None else None


def _archived() -> Iterator[Mail]:
    for pattern, wanted in MESSAGES_OF.items():
        for path in sorted(ARCHIVES.glob(pattern)):
            with tarfile.open(path) as archive:
                members = sorted((m for m in archive if m.isfile() and wanted.search(m.name)), key=lambda m: m.name)
                for member in members:
                    file = archive.extractfile(member)
                    assert file is not None
                    yield Mail(f"{path.name.partition('-')[0]}/{Path(member.name).name}", file.read())


def as_they_are() -> list[Mail]:
    """All messages with the octets they came with."""
    library = _library()
    found = list(_archived())
    if library is not None:
        found += [Mail(f"test_email/{path.name}", path.read_bytes()) for path in sorted(library.glob("msg_*.txt"))]
    found += [Mail(f"bench/{number}", bench.message(number)) for number in range(20)]
    found += [Mail(f"broken/{name}", octets) for name, octets in broken.MESSAGES.items()]
    return found


def for_both() -> list[Mail]:
    """What both servers store alike: CRLF, no NUL, which RFC 3501's literals may not hold, and not empty."""
    return [Mail(mail.name, octets) for mail in as_they_are() if (octets := crlf(mail.octets)) and b"\0" not in octets]


def recombined(mails: list[Mail]) -> Iterator[Mail]:
    """Each message cut off behind a line in three places, inside others, and without its first blank line."""
    for name, octets in mails:
        for share in (3, 5, 7):
            kept = octets[: octets.rfind(b"\r\n", 0, len(octets) * share // 10) + 2]
            yield Mail(f"{name}#cut{share}", kept if len(kept) > 1 else b"x")
        yield Mail(f"{name}#forwarded", _HEAD + b"Content-Type: message/rfc822\r\n\r\n" + octets)
        digest = b"".join(b"--inner\r\n\r\n" + octets + b"\r\n" for _ in range(2)) + b"--inner--\r\n"
        yield Mail(f"{name}#digest", _HEAD + b"Content-Type: multipart/digest; boundary=inner\r\n\r\n" + digest)
        mixed = b"--o\r\nContent-Type: message/rfc822\r\n\r\n" + octets + b"\r\n--o\r\n\r\nafter\r\n--o--\r\n"
        yield Mail(f"{name}#mixed", _HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n" + mixed)
        yield Mail(f"{name}#joined", octets.replace(b"\r\n\r\n", b"\r\n", 1))


_HEAD: Final = b"From: a@one.test\r\nTo: b@two.test\r\nSubject: outer\r\nMIME-Version: 1.0\r\n"
