"""Errors of the domain. They know no protocol: each protocol has one table that turns them into replies.

`str(error)` is a safe sentence for the person who can act: no octets of mail, no secret, no
exception text of a library. Anything that is not a `GatewayError` is a defect: it is logged
with an id and the peer is told only that id.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all expected failures; the message is safe to show."""


class NotFound(GatewayError):
    """A named thing (mailbox, inbox, key, message …) does not exist."""


class AlreadyExists(GatewayError):
    """The name is taken."""


class RoleTaken(AlreadyExists):
    """Another mailbox has that special use already (RFC 6154 3: each has one at most here)."""


class InvalidName(GatewayError):
    """A mailbox, domain or address name that is not allowed."""


class InvalidRequest(GatewayError):
    """A request that contradicts itself or a rule of the protocol."""


class HasChildren(GatewayError):
    """A mailbox that is only a name for its children cannot be deleted (RFC 5530 HASCHILDREN)."""


class CannotChange(GatewayError):
    """A thing that may not be changed or removed so: INBOX, a non-empty pod, the last primary address."""


class NoPermission(GatewayError):
    """The key lacks the permission."""


class ReadOnly(GatewayError):
    """The mailbox was opened by EXAMINE."""


class OverQuota(GatewayError):
    """The inbox is full (storage or messages)."""


class LimitReached(GatewayError):
    """A documented limit other than storage: keywords, mailboxes, connections."""


class TooManyAnnotations(LimitReached):
    """A mailbox, or the inbox as a whole, has as many annotations as it may have (RFC 5464 4.3 TOOMANY)."""


class AnnotationTooBig(LimitReached):
    """The value of an annotation is longer than any may be (RFC 5464 4.3 MAXSIZE)."""


class TooBig(GatewayError):
    """A message over `max_message_size`."""


class MessageGone(GatewayError):
    """A message in the session's view was expunged and its octets are collected (RFC 5530 EXPUNGEISSUED)."""


class MailboxGone(GatewayError):
    """The selected mailbox was deleted by another session."""


class AuthenticationFailed(GatewayError):
    """Wrong address, wrong key, expired, revoked, out of scope: the peer is never told which."""


class Throttled(GatewayError):
    """Too many failures from this address; try again later."""


class Unavailable(GatewayError):
    """Our own outage (disk full, database away): the same request may succeed later."""


class TookTooLong(Unavailable):
    """A page of work that reads ran into its time limit; the same again would too, less may do."""


class SenderNotAuthorized(GatewayError):
    """MAIL FROM or a header author is no address of the key's inboxes."""


class ConfigError(GatewayError):
    """A configuration that cannot be used; the message names file, key and reason."""
