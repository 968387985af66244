"""A client for comparing two servers: octets to nested values, by a reader that shares nothing with the gateway's."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable
from typing import Final

_LITERAL: Final = re.compile(rb"~?\{([0-9]+)\}\r\n\Z")
_ATOM: Final = re.compile(rb'(?:[^\x00-\x20()"{\[\]]|\[[^\]]*\])+')
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class Word(bytes):
    """An atom or a number; a quoted or literal string is plain `bytes`, NIL is None, a list is a tuple."""


Value = bytes | None | tuple["Value", ...]
Answer = dict[str, Value]
"""Item of a FETCH response in capitals -> its value."""


class Refused(Exception):
    """The command ended with NO or BAD."""


def read_values(pieces: list[bytes], literals: list[bytes]) -> list[Value]:
    """All values of one response: `pieces` of text, between each two of which one literal stood."""
    stack: list[list[Value]] = [[]]
    for number, text in enumerate(pieces):
        at = 0
        while at < len(text):
            sign = text[at : at + 1]
            if sign == b"(":
                stack.append([])
                at += 1
            elif sign == b")":
                done = tuple(stack.pop())
                stack[-1].append(done)
                at += 1
            elif sign in b" \r\n":
                at += 1
            elif sign == b'"':
                quoted = _QUOTED.match(text, at)
                assert quoted is not None, f"a quoted string without end: {text[at:][:80]!r}"
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL))
                at = quoted.end()
            else:
                atom = _ATOM.match(text, at)
                assert atom is not None, f"what is no value: {text[at:][:80]!r}"
                stack[-1].append(None if atom[0].upper() == b"NIL" else Word(atom[0]))
                at = atom.end()
        if number < len(literals):
            stack[-1].append(literals[number])
    assert len(stack) == 1, "parentheses do not match"
    return stack[0]


class Client:
    """One connection, logged in, over TLS. Commands are answered whole before the next one is sent."""

    def __init__(self, port: int, tls: ssl.SSLContext, user: str, password: str) -> None:
        plain = socket.create_connection(("localhost", port), timeout=60)
        self._socket = tls.wrap_socket(plain, server_hostname="localhost")
        self._file = self._socket.makefile("rb")
        self._tags = 0
        self._file.readline()
        self.command(b'LOGIN "%b" "%b"' % (user.encode(), password.encode()))

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def command(self, text: bytes) -> list[list[Value]]:
        """The untagged responses, each as its values. Refused, AssertionError for what is no response."""
        self._tags += 1
        tag = b"t%d" % self._tags
        self._socket.sendall(tag + b" " + text + b"\r\n")
        found: list[list[Value]] = []
        while True:
            pieces, literals = self._response()
            if pieces[0].startswith(tag + b" "):
                if pieces[0][len(tag) + 1 :].split()[0].upper() != b"OK":
                    raise Refused(f"{text[:200]!r}: {pieces[0]!r}")
                return found
            word = pieces[0].split(b" ", 2)
            if word[1].upper() in {b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"}:
                continue
            pieces[0] = pieces[0][2:]
            if b"{" in pieces[-1] and not literals:
                continue
            pieces[:-1] = [piece[: piece.rindex(b"{")].removesuffix(b"~") for piece in pieces[:-1]]
            found.append(read_values(pieces, literals))

    def _response(self) -> tuple[list[bytes], list[bytes]]:
        pieces, literals = [], []
        while True:
            line = self._file.readline()
            assert line.endswith(b"\n"), "the server has closed the connection"
            pieces.append(line)
            literal = _LITERAL.search(line)
            if literal is None:
                return pieces, literals
            octets = self._file.read(int(literal[1]))
            assert octets is not None
            literals.append(octets)

    def append(self, mailbox: str, messages: Iterable[bytes], *, date: bytes = b"01-Jan-2024 12:00:00 +0000") -> None:
        """With non-synchronising literals, which both servers take (RFC 7888); one after the other."""
        for message in messages:
            self.command(b'APPEND %b "%b" {%d+}\r\n%b' % (mailbox.encode(), date, len(message), message))

    def fetch(self, what: bytes, numbers: bytes = b"1:*") -> dict[int, Answer]:
        """`FETCH numbers (what)`: sequence number -> items."""
        found: dict[int, Answer] = {}
        for values in self.command(b"FETCH %b (%b)" % (numbers, what)):
            if len(values) == 3 and isinstance(values[1], bytes) and values[1].upper() == b"FETCH":
                number, items = values[0], values[2]
                assert isinstance(number, Word)
                assert isinstance(items, tuple)
                answer = found.setdefault(int(number), {})
                for name, value in zip(items[::2], items[1::2], strict=True):
                    assert isinstance(name, Word)
                    answer[name.decode().upper()] = value
        return found

    def numbers(self, text: bytes) -> tuple[int, ...]:
        """SEARCH, SORT: the numbers in the order they came."""
        for values in self.command(text):
            if values and isinstance(values[0], Word) and values[0].upper() in {b"SEARCH", b"SORT"}:
                return tuple(int(value) for value in values[1:] if isinstance(value, Word))
        return ()

    def tree(self, text: bytes) -> Value:
        """THREAD: its nested numbers."""
        for values in self.command(text):
            if values and isinstance(values[0], Word) and values[0].upper() == b"THREAD":
                return tuple(values[1:])
        return ()
