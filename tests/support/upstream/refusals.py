"""How providers refuse logins, in their words (connectors.md 3.2 and 6, RFC 5530), for both legs.

Each class of failure, by the value that the gateway gives it, with the answers that must lead to it.
"""

from __future__ import annotations

from tests.support.upstream.faults import Refuse

IMAP: dict[str, tuple[str, ...]] = {
    "auth_rejected": (
        "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        "NO [AUTHENTICATIONFAILED] Authentication failed.",
        "NO LOGIN failed.",
        "NO Login failed.",
        "NO Invalid user name or password.",
    ),
    "app_password_needed": (
        "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 "
        "(Failure)",
        "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 "
        "(Failure)",
    ),
    "imap_disabled": (
        "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your "
        "account for IMAP access. (Failure)",
        "NO [ALERT] You are yet to enable IMAP for your account. Please contact your administrator (Failure)",
    ),
    "limit": (
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    ),
    "throttled": (
        "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds",
        "NO Request is throttled. Suggested Backoff Time: 300000 milliseconds",
    ),
    "unavailable": (
        "NO [UNAVAILABLE] Temporary authentication failure.",
        "NO [UNAVAILABLE] AUTHENTICATE Server error - Please try again later",
    ),
    "login_disabled": (
        "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
    ),
}

OAUTH_CHALLENGES: tuple[str, ...] = (
    '{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
    '{"status":"401","schemes":"bearer mac","scope":"mail-w"}',
    '{"status":"invalid_token","scope":"imap","openid-configuration":"https://idp.test/.well-known"}',
)

TOKEN_EXPIRED = "Session invalidated - AccessTokenExpired"
"""Microsoft's BYE after an hour."""
NOT_CONNECTED = "BAD User is authenticated but not connected."
"""Microsoft's answer to every command when there is no mailbox behind the login."""
BACKOFF = "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"
OVER_QUOTA = "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)"

SMTP: dict[str, tuple[str, ...]] = {
    "auth_rejected": (
        "535 5.7.8 Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=B",
        "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com 2026-11-01T00:00:00.000Z]",
    ),
    "app_password_needed": (
        "534 5.7.9 Application-specific password required. For more information, go to https://support.google.com/a",
    ),
    "smtp_auth_disabled": (
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit "
        "https://aka.ms/smtp_auth_disabled for more information.",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    ),
    "throttled": (
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        "421 4.7.0 Try again later, closing connection.",
    ),
    "limit": ("554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",),
}


def not_connected() -> Refuse:
    """Every command after login, for good."""
    before = {"CAPABILITY", "LOGIN", "AUTHENTICATE", "ID", "LOGOUT", "STARTTLS", "GREETING", "TLS", "LITERAL"}
    return Refuse("", NOT_CONNECTED, times=0, where=lambda command: command.name not in before)
