"""Mailbox names between the wire and people. Names come from servers that keep no rule: decoding never fails.

UTF8=ACCEPT (RFC 6855) is never enabled: a raw name is what a folder is known by, and would have two spellings.
"""

from __future__ import annotations

from gateway.model.errors import InvalidName
from gateway.wire import mutf7


def decode(raw: bytes) -> str:
    """The name that `raw` spells: UTF-8 where the server sends eight bits, else modified UTF-7.

    What is neither is shown as it stands, each octet as a sign; nothing is folded or made one. Only `raw` goes back.
    """
    if not raw.isascii():
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    try:
        return mutf7.decode(raw)
    except ValueError:
        return raw.decode("latin-1")


def encode(name: str) -> bytes:
    """How a new name is sent: modified UTF-7. InvalidName for what no server can be told."""
    if "\0" in name or "\r" in name or "\n" in name or not name:
        raise InvalidName("A folder name may not be empty nor hold line ends")
    try:
        return mutf7.encode(name)
    except UnicodeEncodeError:
        raise InvalidName("A folder name may not hold half a sign") from None
