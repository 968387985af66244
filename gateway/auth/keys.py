"""The form of an API key and its stored hash.

`gw_` + 10 characters id + 28 characters secret + 6 characters CRC32 over both, all base62: 47 characters without any
sign that devices cut, fold or mangle. The id finds the row, so that one hash is computed and not one a key; the
checksum tells a mistyped key from a wrong one without touching the store. 28 digits are 166 bits: nobody guesses
them, so a low-cost hash is enough (a stolen database gives nothing to guess from) and a thousand clients that
reconnect at once are let in within seconds.
"""

from __future__ import annotations

import re
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.model.ids import base62

PREFIX: Final = "gw_"
ID_LENGTH: Final = 10
SECRET_LENGTH: Final = 28
CHECK_LENGTH: Final = 6  # 62**6 > 2**32
KEY_LENGTH: Final = len(PREFIX) + ID_LENGTH + SECRET_LENGTH + CHECK_LENGTH

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(
    rf"gw_([0-9A-Za-z]{{{ID_LENGTH}}})([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECK_LENGTH}}})"
)
# 4 MiB, one pass, one lane: 1.7 ms. People's passwords would need far more; a key has its 166 bits.
_HASHER: Final = PasswordHasher(time_cost=1, memory_cost=4096, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in parts. `secret` stays out of `repr`; `text` is shown once, when the key is made."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The 47 characters that people paste."""
        return PREFIX + self.key_id + self.secret + checksum(self.key_id + self.secret)


def checksum(text: str) -> str:
    """CRC32 of ASCII `text` as six base62 digits, most significant first."""
    number = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def generate() -> ApiKey:
    """A new key from the system's secure source."""
    return ApiKey(base62(ID_LENGTH), base62(SECRET_LENGTH))


def parse(text: str) -> ApiKey | None:
    """The parts of `text`, or None when it is no key or its checksum is wrong (then nothing is looked up or hashed)."""
    match = _FORM.fullmatch(text)
    if match is None or checksum(match[1] + match[2]) != match[3]:
        return None
    return ApiKey(match[1], match[2])


def hash_secret(secret: str) -> str:
    """The argon2id text that is stored. Takes 1.7 ms and releases the interpreter: not inside a store unit."""
    return _HASHER.hash(secret)


def verify_secret(stored: str, secret: str) -> bool:
    """Whether `secret` has the hash `stored`. A damaged stored hash matches nothing."""
    try:
        return _HASHER.verify(stored, secret)
    except (VerificationError, InvalidHashError):
        return False
