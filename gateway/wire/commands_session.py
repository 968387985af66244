"""The base of all commands (`commands`), and those about the connection, its login and what it switches on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .notify import EventGroup


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""

    tag: bytes


class Capability(Command):
    """RFC 3501 6.1.1."""

    __slots__ = ()


class Noop(Command):
    """RFC 3501 6.1.2."""

    __slots__ = ()


class Logout(Command):
    """RFC 3501 6.1.3."""

    __slots__ = ()


class StartTls(Command):
    """RFC 3501 6.2.1. Call `Reader.discard()` before the handshake."""

    __slots__ = ()


class Check(Command):
    """RFC 3501 6.4.1."""

    __slots__ = ()


class Close(Command):
    """RFC 3501 6.4.2."""

    __slots__ = ()


class Unselect(Command):
    """RFC 3691."""

    __slots__ = ()


class Unauthenticate(Command):
    """RFC 8437."""

    __slots__ = ()


class Idle(Command):
    """RFC 2177. Then `Reader.expect_line()`: the next line is DONE."""

    __slots__ = ()


class Namespace(Command):
    """RFC 2342."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """RFC 3501 6.2.2 with RFC 4959. `mechanism` in capitals; `initial_response` decoded from base64.

    None: the client sent none and waits for `+ `; b"": it sent `=`, an empty response.
    """

    mechanism: str
    initial_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Compress(Command):
    """RFC 4978. `algorithm` in capitals."""

    algorithm: str


@dataclass(frozen=True, slots=True)
class Language(Command):
    """RFC 5255 3.2. Language ranges in order of preference; none asks for a list."""

    ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Login(Command):
    """RFC 3501 6.2.3. Octets as sent; the password is kept out of `repr`."""

    user: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Id(Command):
    """RFC 2971. `parameters` is None for NIL, else (field, value or None) pairs in order, any number of them."""

    parameters: tuple[tuple[bytes, bytes | None], ...] | None


@dataclass(frozen=True, slots=True)
class Enable(Command):
    """RFC 5161. Capability names in capitals; unknown ones are the session's to ignore."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notify(Command):
    """RFC 5465. No groups: NONE. `unknown`: an event was named that nobody knows, so SET is refused by BADEVENT."""

    status: bool = False
    groups: tuple[EventGroup, ...] = ()
    unknown: bool = False
