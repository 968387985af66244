"""Secrets that were verified already, so that each further login with them costs 2 us and not 1.7 ms.

The cache proves one thing only: this secret matches this stored hash. Expiry, revocation, scope and the inbox are
read from the store at every login, so nothing here ever has to be invalidated.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b

_DIGEST: int = 16  # octets; the key is random in each process, so nobody can aim at a collision


class VerifiedSecrets:
    """LRU of keyed BLAKE2b(secret) -> stored hash. Holds no secret; about 250 octets an entry."""

    def __init__(self, capacity: int = 65536, *, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._capacity = capacity
        self._entries: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def _digest(self, secret: str) -> bytes:
        return blake2b(secret.encode(), key=self._key, digest_size=_DIGEST).digest()

    def knows(self, secret: str) -> bool:
        """Whether `secret` matched some hash before: such a login is not slowed by the failures of its neighbours."""
        return self._digest(secret) in self._entries

    def matches(self, secret: str, stored: str) -> bool:
        """Whether `secret` was seen to match exactly the hash `stored`."""
        digest = self._digest(secret)
        if self._entries.get(digest) != stored:
            return False
        self._entries.move_to_end(digest)
        return True

    def add(self, secret: str, stored: str) -> None:
        """Remember that `secret` has just been verified against `stored`; the least recently used entry goes."""
        if self._capacity <= 0:
            return
        digest = self._digest(secret)
        self._entries[digest] = stored
        self._entries.move_to_end(digest)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


class ProvenKeys:
    """LRU of key ids that were proven by SCRAM: what `VerifiedSecrets.knows` is where no secret is ever seen."""

    def __init__(self, capacity: int = 65536) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._ids

    def add(self, key_id: str) -> None:
        self._ids[key_id] = None
        self._ids.move_to_end(key_id)
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)
