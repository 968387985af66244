"""Tagged replies, and the one table that turns errors of the domain into them (RFC 3501 7.1, RFC 5530)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import errors
from gateway.store import entries


@dataclass(frozen=True, slots=True)
class Reply:
    """What stands after the tag. `code` is the response code without brackets, None for none."""

    status: bytes
    text: bytes
    code: bytes | None = None

    def line(self, tag: bytes) -> bytes:
        if self.code is None:
            return b"%b %b %b\r\n" % (tag, self.status, self.text)
        return b"%b %b [%b] %b\r\n" % (tag, self.status, self.code, self.text)


def ok(text: str, code: bytes | None = None) -> Reply:
    return Reply(b"OK", text.encode("ascii"), code)


def no(text: str, code: bytes | None = None) -> Reply:
    return Reply(b"NO", _plain(text), code)


def bad(text: str, code: bytes | None = None) -> Reply:
    return Reply(b"BAD", _plain(text), code)


def _plain(text: str) -> bytes:
    """resp-text is 7-bit without CR and LF (RFC 3501 9 TEXT-CHAR); a refusal may quote what the client wrote."""
    return text.replace("\r", " ").replace("\n", " ").encode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class _Rule:
    status: bytes
    code: bytes | None
    text: str | None = None
    """None: the error's own sentence."""


REPLY_OF: Final[Mapping[type[errors.GatewayError], _Rule]] = {
    errors.NotFound: _Rule(b"NO", b"NONEXISTENT", "Folder not found"),
    errors.AlreadyExists: _Rule(b"NO", b"ALREADYEXISTS", "Mailbox already exists"),
    # Not ALREADYEXISTS: a client would take it that the folder is there.
    errors.RoleTaken: _Rule(b"NO", b"USEATTR", "Another mailbox has this special use"),
    errors.InvalidName: _Rule(b"NO", b"CANNOT"),
    errors.InvalidRequest: _Rule(b"BAD", None),
    errors.HasChildren: _Rule(b"NO", b"HASCHILDREN", "Mailbox has children"),
    errors.CannotChange: _Rule(b"NO", b"CANNOT"),
    errors.NoPermission: _Rule(b"NO", b"NOPERM", "This key may not do that"),
    errors.ReadOnly: _Rule(b"NO", None, "Mailbox is read-only"),
    errors.OverQuota: _Rule(b"NO", b"OVERQUOTA", "Mailbox is full"),
    errors.LimitReached: _Rule(b"NO", b"LIMIT"),
    errors.TooManyAnnotations: _Rule(b"NO", b"METADATA TOOMANY"),
    errors.AnnotationTooBig: _Rule(b"NO", b"METADATA MAXSIZE %d" % entries.MAX_VALUE, "The value is too long"),
    errors.TooBig: _Rule(b"NO", b"TOOBIG", "Message is too big"),
    errors.MessageGone: _Rule(b"NO", b"EXPUNGEISSUED", "Some messages were expunged by another session"),
    errors.AuthenticationFailed: _Rule(b"NO", b"AUTHENTICATIONFAILED", "Authentication failed"),
    # Clients delete a stored password on AUTHENTICATIONFAILED: neither of these two is about the password.
    errors.Throttled: _Rule(b"NO", b"UNAVAILABLE", "Too many failed logins from this address, try again later"),
    errors.TookTooLong: _Rule(b"NO", b"LIMIT", "This took too long and was given up; ask for less at a time"),
    errors.Unavailable: _Rule(b"NO", b"UNAVAILABLE", "Service is temporarily unavailable, try again later"),
}


def reply_to(error: errors.GatewayError) -> Reply | None:
    """The reply to an expected failure; None when the table does not know it, which is a defect of ours."""
    for kind in type(error).__mro__:
        rule = REPLY_OF.get(kind)
        if rule is not None:
            return Reply(rule.status, _plain(rule.text if rule.text is not None else str(error)), rule.code)
    return None
