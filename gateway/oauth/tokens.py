"""Tokens as values that show nothing of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What opens a mailbox until `expires_at` (Unix seconds)."""

    text: str = field(repr=False)
    expires_at: float

    def __str__(self) -> str:
        return "AccessToken(***)"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token endpoint gave. `scope` "": all that was asked for. `lasts`: seconds."""

    access: str = field(repr=False)
    lasts: int
    refresh: str | None = field(default=None, repr=False)
    scope: str = ""
    id_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """RFC 8628 3.2: `user_code` is for people to type at `uri`; `device_code` is a secret."""

    device_code: str = field(repr=False)
    user_code: str
    uri: str
    complete_uri: str | None
    lasts: int
    interval: int
