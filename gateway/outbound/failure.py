"""Why an account cannot be used, as classes that advice, retries and events go by; of both legs, IMAP and SMTP."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """One class a cause. Which of them mean "our login was refused" is `refuses_login`: only those stop an account."""

    DNS = "dns"  # the host name has no address
    DENIED = "denied"  # it leads to a network that we do not dial
    REFUSED = "refused"  # nothing listens, or it cannot be reached
    TIMEOUT = "timeout"  # a step took longer than its deadline
    PROXY = "proxy"  # the proxy in between refused, or is none
    TLS_VERIFY = "tls_verify"  # certificate: unknown CA, expired, another name, another pin
    TLS_VERSION = "tls_version"  # no common version or cipher, or a DH group below the minimum
    NOT_TLS = "not_tls"  # the port does not speak TLS from the first octet, or only TLS and we spoke in the clear
    NO_STARTTLS = "no_starttls"  # STARTTLS is required and not offered, or octets came before it was done
    PROTOCOL = "protocol"  # what came is not in the grammar, or beyond its limits
    LOST = "lost"  # the connection ended
    BYE = "bye"  # the server ended it, with a text
    LOGIN_DISABLED = "login_disabled"  # no mechanism that may be used is offered
    AUTH_REJECTED = "auth_rejected"  # user name or password
    AUTH_OAUTH = "auth_oauth"  # the access token: expired, revoked, wrong scope or user
    APP_PASSWORD_NEEDED = "app_password_needed"  # noqa: S105 a name, no password
    IMAP_DISABLED = "imap_disabled"  # a setting of the account, or its administrator's
    SMTP_AUTH_DISABLED = "smtp_auth_disabled"
    MAILBOX_UNREACHABLE = "mailbox_unreachable"  # logged in, and no mailbox behind it (licence, scope, delegate)
    LIMIT = "limit"  # too many connections, or a quota of the account
    THROTTLED = "throttled"  # asked to come back later
    UNAVAILABLE = "unavailable"  # the server says that it has an outage
    FOLDER_MISSING = "folder_missing"
    REFUSED_COMMAND = "refused_command"  # NO or BAD to something that the classes above do not name


_LOGIN = frozenset(
    {Failure.AUTH_REJECTED, Failure.AUTH_OAUTH, Failure.APP_PASSWORD_NEEDED, Failure.IMAP_DISABLED,
     Failure.SMTP_AUTH_DISABLED, Failure.LOGIN_DISABLED}
)  # fmt: skip


def refuses_login(failure: Failure) -> bool:
    """True when trying again with the same credentials only brings the account nearer to being locked."""
    return failure in _LOGIN
