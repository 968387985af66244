"""A scripted IMAP server for tests of the connectors: personalities times faults, an account that tests change.

    async with FakeUpstream(GMAIL, mailboxes={"INBOX": 10}, faults=[Cut("FETCH", octets=99, literal=True)]) as server:
        client = …(server.host, server.port), user server.account.user, password server.account.password
        server.deliver("INBOX", octets)
        assert not server.violations
"""

from tests.support.upstream.body_faults import (
    Backwards,
    Bomb,
    EmptyBody,
    MissingBody,
    NilBody,
    NoUid,
    OtherBody,
    PermutedCopyuid,
    Twice,
    Unlisted,
    WrongLength,
)
from tests.support.upstream.faults import (
    Bye,
    Cut,
    Deaf,
    Do,
    Drip,
    Drop,
    Fault,
    Flood,
    Inject,
    Refuse,
    Rewrite,
    Silent,
    Stall,
    bodies,
    zero_exists,
)
from tests.support.upstream.mail import digest, example
from tests.support.upstream.personality import (
    COURIER,
    CYRUS,
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    FASTMAIL,
    GMAIL,
    HMAIL,
    ICLOUD,
    M365,
    NETEASE,
    PERSONALITIES,
    PLAIN,
    YAHOO,
    ZOHO,
    Personality,
)
from tests.support.upstream.process import UpstreamProcess
from tests.support.upstream.server import FakeUpstream
from tests.support.upstream.smtp import FakeSubmission

__all__ = [
    "COURIER", "CYRUS", "DOVECOT", "DOVECOT_BARE", "EXCHANGE", "FASTMAIL", "GMAIL", "HMAIL", "ICLOUD", "M365",
    "NETEASE", "PERSONALITIES", "PLAIN", "YAHOO", "ZOHO", "Backwards", "Bomb", "Bye", "Cut", "Deaf", "Do", "Drip",
    "Drop", "EmptyBody", "FakeSubmission", "FakeUpstream", "Fault", "Flood", "Inject", "MissingBody", "NilBody",
    "NoUid", "OtherBody", "PermutedCopyuid", "Personality", "Refuse", "Rewrite", "Silent", "Stall", "Twice",
    "Unlisted", "UpstreamProcess", "WrongLength", "bodies", "digest", "example", "zero_exists",
]
