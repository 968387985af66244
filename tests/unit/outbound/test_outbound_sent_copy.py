"""Who files a sent message: by the server that took it, not by what the account was called."""

from __future__ import annotations

import pytest

from gateway.outbound.sent_copy import AccountCopy, SentPolicy, account_copy, files_sent

GMAIL = "smtp.gmail.com ESMTP a640c23a62f3a-acb6ec8bb2dsm1 - gsmtp"
MICROSOFT = "FR0P281CA0001.outlook.office365.com Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 12:00:00 +0000"


@pytest.mark.parametrize(
    ("host", "greeting", "files"),
    [
        ("smtp.gmail.com", GMAIL, True),
        ("mail.corp.example", GMAIL, True),
        ("smtp-relay.gmail.com", "smtp-relay.gmail.com ESMTP x - gsmtp", False),
        ("smtp.office365.com", MICROSOFT, True),
        ("mail.corp.example", "AM6P193CA0123.EURP193.PROD.OUTLOOK.COM Microsoft ESMTP MAIL Service ready", True),
        ("corp.mail.protection.outlook.com", "x.mail.protection.outlook.com Microsoft ESMTP", None),
        ("SMTP.Mail.Yahoo.COM.", "smtp.mail.yahoo.com ESMTP ready", True),
        ("smtppro.zoho.eu", "mx.zohomail.eu SMTP Server ready", True),
        ("smtp.fastmail.com", "smtp.messagingengine.com ESMTP", False),
        ("mail.gmx.net", "gmx.net (mrgmx005) Nemesis ESMTP Service ready", False),
        ("127.0.0.1", "127.0.0.1 ESMTP Proton Mail Bridge", True),
        ("smtp.mail.me.com", "smtp.mail.me.com iCloud ESMTP", None),
        ("mail.corp.example", "mail.corp.example ESMTP Postfix", None),
        ("notsmtp.gmail.com.evil.example", "evil ESMTP", None),
        ("mail.corp.example", "", None),
        ("mail.corp.example", "<>()smtp.gmail.com", None),
    ],
)
def test_who_files(host: str, greeting: str, files: bool | None) -> None:
    assert files_sent(host, greeting) is files


def test_microsoft_files_in_the_mailbox_of_the_login() -> None:
    """Which is not that of a shared mailbox, in whose name it was sent."""
    assert files_sent("smtp.office365.com", MICROSOFT, own_address=False) is None
    assert files_sent("smtp.gmail.com", GMAIL, own_address=False) is True


@pytest.mark.parametrize(
    ("policy", "host", "remembered", "expected"),
    [
        (SentPolicy.AUTO, "smtp.gmail.com", None, AccountCopy.FILED),
        (SentPolicy.AUTO, "smtp.gmail.com", False, AccountCopy.FILED),
        (SentPolicy.AUTO, "mail.gmx.net", None, AccountCopy.APPEND),
        (SentPolicy.AUTO, "mail.corp.example", None, AccountCopy.PROBE),
        (SentPolicy.AUTO, "mail.corp.example", True, AccountCopy.FILED),
        (SentPolicy.AUTO, "mail.corp.example", False, AccountCopy.APPEND),
        (SentPolicy.ALWAYS, "smtp.gmail.com", True, AccountCopy.APPEND),
        (SentPolicy.NEVER, "mail.gmx.net", False, AccountCopy.NONE),
    ],
)
def test_what_is_done(policy: SentPolicy, host: str, remembered: bool | None, expected: AccountCopy) -> None:
    assert account_copy(policy, host, "", remembered=remembered) is expected
