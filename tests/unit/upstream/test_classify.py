"""What servers say when they refuse, as classes; the words are those of the providers."""

from __future__ import annotations

import pytest

from gateway.outbound.failure import Failure as F
from gateway.outbound.failure import refuses_login
from gateway.upstream.classify import Step, meaning, retry_after
from gateway.upstream.events import Tagged
from gateway.upstream.responses import parse
from gateway.wire.events import Frame


def failure(line: str, step: Step) -> F:
    said = parse(Frame(b"A1 " + line.encode()))
    assert isinstance(said, Tagged)
    return meaning(said.text, said.code, step).failure


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Gmail
        ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", F.AUTH_REJECTED),
        ("NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833",
         F.APP_PASSWORD_NEEDED),
        ("NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754",
         F.AUTH_REJECTED),
        ("NO [WEBALERT https://accounts.google.com/signin/continue?x] Web login required.", F.AUTH_REJECTED),
        ("NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable "
         "your account for IMAP access. (Failure)", F.IMAP_DISABLED),
        ("NO [ALERT] IMAP access is disabled for your domain. Please contact your administrator", F.IMAP_DISABLED),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", F.LIMIT),
        ("NO [ALERT] Account exceeded command or bandwidth limits. (Failure)", F.THROTTLED),
        ("NO [OVERQUOTA] Account exceeded command or bandwidth limits", F.THROTTLED),
        ("NO [UNAVAILABLE] Temporary System Error", F.UNAVAILABLE),
        # Microsoft
        ("NO LOGIN failed.", F.AUTH_REJECTED),
        ("NO AUTHENTICATE failed.", F.AUTH_REJECTED),
        ("BAD User is authenticated but not connected.", F.MAILBOX_UNREACHABLE),
        ("NO Request is throttled. Suggested Backoff Time: 92415 milliseconds", F.THROTTLED),
        ("NO Server Unavailable. 15", F.UNAVAILABLE),
        ("NO Server is busy", F.UNAVAILABLE),
        # Yahoo, iCloud, Dovecot, Cyrus
        ("NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials", F.AUTH_REJECTED),
        ("NO [LIMIT] LOGIN Rate limit hit", F.THROTTLED),
        ("NO [AUTHENTICATIONFAILED] Authentication Failed", F.AUTH_REJECTED),
        ("NO [AUTHENTICATIONFAILED] Authentication failed. Please try again later.", F.AUTH_REJECTED),
        ("NO [AUTHENTICATIONFAILED] Too many failed login attempts", F.THROTTLED),
        ("NO [UNAVAILABLE] Temporary authentication failure. [host:2026-11-21 10:00:00]", F.UNAVAILABLE),
        ("NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)", F.LIMIT),
        ("NO [AUTHORIZATIONFAILED] no such identity", F.MAILBOX_UNREACHABLE),
        ("NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure connections.", F.LOGIN_DISABLED),
        ("NO [EXPIRED] your password is over", F.AUTH_REJECTED),
        ("NO [INUSE] somebody has it", F.UNAVAILABLE),
        ("NO [SERVERBUG] Internal error occurred", F.UNAVAILABLE),
        # others
        ("NO [ALERT] You are yet to enable IMAP for your account. Please contact your administrator", F.IMAP_DISABLED),
        ("NO LOGIN Login error or password error: please use your authorization code", F.APP_PASSWORD_NEEDED),
        ("NO Unsafe Login. Please contact kefu@188.com for help", F.AUTH_REJECTED),
        ("NO Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or "
         "system is busy.", F.IMAP_DISABLED),
        ("NO [ALERT] Application password is REQUIRED", F.APP_PASSWORD_NEEDED),
        ("NO IMAP/POP3 access is disabled for this account", F.IMAP_DISABLED),
        ("NO no reason at all", F.AUTH_REJECTED),
        ("NO", F.AUTH_REJECTED),
    ],
)  # fmt: skip
def test_logins(line: str, expected: F) -> None:
    assert failure(line, Step.LOGIN) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("NO AUTHENTICATE failed.", F.AUTH_OAUTH),
        ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", F.AUTH_OAUTH),
        ("NO access token expired", F.AUTH_OAUTH),
        ("NO [UNAVAILABLE] later", F.UNAVAILABLE),
        ("BAD User is authenticated but not connected.", F.MAILBOX_UNREACHABLE),
        ("NO Your account is not enabled for IMAP use.", F.IMAP_DISABLED),
    ],
)
def test_logins_with_a_token(line: str, expected: F) -> None:
    assert failure(line, Step.BEARER) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("NO [NONEXISTENT] Unknown Mailbox: Temporary (Failure)", F.FOLDER_MISSING),
        ("NO [TRYCREATE] Mailbox doesn't exist: Backend", F.FOLDER_MISSING),
        ("NO Mailbox doesn't exist: x", F.FOLDER_MISSING),
        ("NO x doesn't exist.", F.FOLDER_MISSING),
        ("NO no such mailbox", F.FOLDER_MISSING),
        ("NO [NOPERM] Permission denied: throttle", F.REFUSED_COMMAND),
        ("NO [ALREADYEXISTS] Mailbox exists", F.REFUSED_COMMAND),
        ("NO [OVERQUOTA] Quota exceeded", F.LIMIT),
        ("BAD User is authenticated but not connected.", F.MAILBOX_UNREACHABLE),
        ("BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds", F.THROTTLED),
        ("NO [UNAVAILABLE] UID FETCH Server error while fetching messages", F.UNAVAILABLE),
        ("NO Service temporarily unavailable", F.UNAVAILABLE),
        ("BAD Error in IMAP command", F.REFUSED_COMMAND),
        ("NO [AUTHENTICATIONFAILED] odd", F.REFUSED_COMMAND),
    ],
)
def test_folders(line: str, expected: F) -> None:
    assert failure(line, Step.FOLDER) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OK Session invalidated - AccessTokenExpired", F.BYE),
        ("OK [EXPIRED] Session expired, please login again.", F.BYE),
        ("OK Autologout; idle for too long", F.BYE),
        ("OK Too many connections", F.LIMIT),
        ("OK [UNAVAILABLE] Server is going down for maintenance", F.UNAVAILABLE),
        ("OK Disconnected for throttling", F.THROTTLED),
        ("OK [NONEXISTENT] x", F.BYE),
    ],
)
def test_byes_never_stop_an_account(line: str, expected: F) -> None:
    found = failure(line, Step.BYE)
    assert found is expected
    assert not refuses_login(found)


def test_how_long_to_stay_away() -> None:
    assert retry_after("Request is throttled. Suggested Backoff Time: 92415 milliseconds") == 92.415
    assert retry_after("Backoff Time: 30") == 30
    assert retry_after("backoff time 9999999999 milliseconds") == 86_400
    assert retry_after("Backoff Time: soon") is None
    assert meaning("Account exceeded command or bandwidth limits.", None, Step.COMMAND).retry_after == 86_400
    assert meaning("Too many requests", None, Step.COMMAND).retry_after is None
