"""Secrets at rest: AES-256-GCM in an envelope, bound to the row they belong to.

Each secret has a data key of its own, which the master key wraps; both layers name table, row and column as associated
data, so that what is copied into another row or column does not open. A sealed secret names the master key it needs,
so that keys can be changed while the old one still opens what is not sealed anew yet.

    0x01 · key id (8) · nonce (12) · wrapped data key (32 + 16) · nonce (12) · secret (n + 16)

No secret is in a `repr` or an error. What is here is pure; `store.vault` knows where keys come from.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.model.errors import ConfigError, GatewayError

KEY_OCTETS: Final = 32
_VERSION: Final = b"\x01"
_ID: Final = 8
_NONCE: Final = 12
_TAG: Final = 16
_WRAPPED: Final = KEY_OCTETS + _TAG
_HEADER: Final = 1 + _ID + _NONCE + _WRAPPED + _NONCE
OVERHEAD: Final = _HEADER + _TAG
"""Octets that a sealed secret is longer than the secret."""


class Unsealable(GatewayError):
    """A stored secret that its own key does not open: damaged, or it was moved from another row."""


class MissingKey(ConfigError):
    """What is sealed needs a master key that is not given here."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a secret belongs to. `row` is an identity that outlives a backup: a uuid, never a number drawn later."""

    table: str
    row: str
    column: str

    @property
    def octets(self) -> bytes:
        """The associated data. Lengths stand before the parts, so that no two places are written alike."""
        parts = [part.encode() for part in (self.table, self.row, self.column)]
        return b"gateway secret" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class MasterKey:
    """256 bits, and the id by which what they sealed names them. Nothing shows the key itself but `text`."""

    __slots__ = ("_cipher", "_octets", "id")

    def __init__(self, octets: bytes) -> None:
        """ValueError when it has not 32 octets."""
        if len(octets) != KEY_OCTETS:
            raise ValueError(f"a master key has {KEY_OCTETS} octets")
        self._octets = octets
        self._cipher = AESGCM(octets)
        # One way, of 256 random bits: the id tells nothing of the key.
        self.id: Final[str] = hashlib.sha256(b"gateway master key id" + octets).hexdigest()[: 2 * _ID]

    @classmethod
    def draw(cls) -> MasterKey:
        return cls(os.urandom(KEY_OCTETS))

    @property
    def text(self) -> str:
        """The key in base64, for the file that keeps it."""
        return base64.b64encode(self._octets).decode()

    def wrap(self, nonce: bytes, data_key: bytes, place: bytes) -> bytes:
        return self._cipher.encrypt(nonce, data_key, place)

    def unwrap(self, nonce: bytes, wrapped: bytes, place: bytes) -> bytes:
        """InvalidTag when it was wrapped by another key or for another place."""
        return self._cipher.decrypt(nonce, wrapped, place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MasterKey) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def __reduce__(self) -> str:
        raise TypeError("a master key is not sent anywhere")


class KeyRing:
    """The master keys at hand, the newest first."""

    __slots__ = ("_keys", "where")

    def __init__(self, keys: Iterable[MasterKey], where: str) -> None:
        """`where`: what to call their source in errors. ConfigError when there is none."""
        self._keys = {key.id: key for key in keys}
        self.where = where
        if not self._keys:
            raise ConfigError(f"{where} holds no master key")

    @property
    def first(self) -> MasterKey:
        return next(iter(self._keys.values()))

    def get(self, key_id: str) -> MasterKey | None:
        return self._keys.get(key_id)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._keys.values())

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"


def read_keys(text: str, where: str) -> KeyRing:
    """Keys in base64 (`openssl rand -base64 32`) or hexadecimal, apart by blanks or lines; lines with # are remarks.

    ConfigError without any octet of it.
    """
    words = [word for line in text.splitlines() if not line.lstrip().startswith("#") for word in line.split()]
    keys = []
    for number, word in enumerate(words, 1):
        try:
            octets = bytes.fromhex(word) if len(word) == 2 * KEY_OCTETS else _base64(word)
            keys.append(MasterKey(octets))
        except (ValueError, binascii.Error):
            raise ConfigError(
                f"{where}: key number {number} is no master key: {KEY_OCTETS} random octets in base64, "
                "as \"openssl rand -base64 32\" makes them"
            ) from None
    return KeyRing(keys, where)


def _base64(word: str) -> bytes:
    return base64.b64decode(word.replace("-", "+").replace("_", "/") + "=" * (-len(word) % 4), validate=True)


class Sealer:
    """Seals with one key, opens with all that are at hand."""

    __slots__ = ("_key", "_ring")

    def __init__(self, ring: KeyRing, key_id: str) -> None:
        """MissingKey when the ring has no such key."""
        self._ring = ring
        self._key = _need(ring, key_id)

    @property
    def key_id(self) -> str:
        """Of the key that seals."""
        return self._key.id

    def seal(self, secret: str, place: Place) -> bytes:
        where, data_key = place.octets, os.urandom(KEY_OCTETS)
        outer, inner = os.urandom(_NONCE), os.urandom(_NONCE)
        head = _VERSION + bytes.fromhex(self._key.id)
        wrapped = self._key.wrap(outer, data_key, head + where)
        return head + outer + wrapped + inner + AESGCM(data_key).encrypt(inner, secret.encode(), head + where)

    def open(self, sealed: bytes, place: Place) -> str:
        """The secret. MissingKey names the key it needs; Unsealable: it was damaged or lay elsewhere."""
        try:
            return self._open(bytes(sealed), place.octets).decode()
        except (InvalidTag, UnicodeDecodeError, _Malformed):
            raise Unsealable(
                f"The secret in {place.table}.{place.column} of {place.row} is damaged or was copied from another row: "
                "enter it again, or restore a backup"
            ) from None

    def _open(self, sealed: bytes, where: bytes) -> bytes:
        if len(sealed) < OVERHEAD or sealed[:1] != _VERSION:
            raise _Malformed
        head, rest = sealed[: 1 + _ID], sealed[1 + _ID :]
        key = _need(self._ring, head[1:].hex())
        outer, rest = rest[:_NONCE], rest[_NONCE:]
        wrapped, rest = rest[:_WRAPPED], rest[_WRAPPED:]
        inner, octets = rest[:_NONCE], rest[_NONCE:]
        return AESGCM(key.unwrap(outer, wrapped, head + where)).decrypt(inner, octets, head + where)

    def __repr__(self) -> str:
        return f"Sealer({self._key.id})"


class _Malformed(Exception):
    pass


def key_id_of(sealed: bytes) -> str:
    """Which master key a sealed secret needs."""
    return bytes(sealed[1 : 1 + _ID]).hex()


def _need(ring: KeyRing, key_id: str) -> MasterKey:
    key = ring.get(key_id)
    if key is None:
        raise MissingKey(
            f"Stored secrets are sealed with the master key {key_id}, and {ring.where} holds "
            f"{', '.join(each.id for each in ring)}: put that key back (from the backup, or from the node that has it) "
            "beside the others. Nothing was changed. Where it is lost for good: gateway secret abandon"
        )
    return key
