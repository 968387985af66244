"""A scripted upstream for tests of the connectors: IMAP and SMTP servers that behave like providers, well or badly.

It is a witness: nothing of the gateway is imported here, its grammar is its own and strict, and what a client must not
do stands in `server.violations`. asyncio, in the test's loop (the loop's own or uvloop).

    async with FakeUpstream(GMAIL, mailboxes={"INBOX": 10, "Work": [octets]}, faults=[Stall("SELECT")]) as server:
        client = connect(server.host, server.port, server.account.user, server.account.password or .token)
        uid = server.deliver("INBOX", octets, flags=["\\Seen"], labels=["Work"])    # pushed to whoever is in IDLE
        server.expunge("INBOX", uid); server.set_flags(…); server.move(…); server.create(…); server.rename(…)
        server.renumber("INBOX")                     # new UIDVALIDITY, the same mail
        server.freeze_modseq("INBOX"); server.rewind_modseq("INBOX", 3)
        server.arm(Cut("FETCH", octets=9, literal=True, where=bodies)); server.throttle(times=3)
        server.bye(); server.hang_up(); await server.stop(); await server.start()     # an outage; mail and port stay
        await server.until_idle("INBOX"); await server.until_command("STORE", count=2)
        assert ours == server.snapshot()             # {mailbox: {UID: (flags, SHA-256)}}; digests() counts contents
        assert not server.writes()                   # STORE, APPEND, …, SELECT: what `pull` never sends
        assert not server.violations

Methods that change mail are Account's (account.py, gmail.py); further accounts by `server.add_account(user)`. Waiting
never polls. Faults (faults.py, body_faults.py) are armed for a command's n-th time, compose, and say when they struck
(`fault.reached`, `fault.fired`). TLS: `context=Authority(tmp).leaf("other.test", days=-1).server()` of
tests/support/authority.py, with `starttls=True` or from the first octet; faults of TLS are given to the constructor.
Logins are refused by `server.refuse_login = refusals.IMAP["limit"][0]` or `Refuse("AUTH", …)`.

`GMAIL.replace(…)`, `.quirk(visible=5)`, `.without("MOVE")` and `.lying("CONDSTORE")` make variants. FakeSubmission
(smtp.py) sends for the same accounts and may file in Sent. UpstreamProcess runs all this as a process of its own
(`python -m tests.support.upstream --help`), for kills, for counting memory, and for tests that are not asynchronous.

Modelled: RFC 3501 and what personalities advertise of CONDSTORE, QRESYNC, UIDPLUS, MOVE, IDLE, ENABLE, ID, NAMESPACE,
UNSELECT, ESEARCH, LIST-EXTENDED (RETURN, SPECIAL-USE and SUBSCRIBED), LIST-STATUS, SPECIAL-USE, XLIST, OBJECTID,
UIDONLY, PARTIAL, MESSAGELIMIT, LITERAL+/-, SASL-IR, UTF8=ACCEPT names, COMPRESS, APPENDLIMIT, X-GM-EXT-1.
Not modelled, though advertised where providers do; BAD: SORT, THREAD, WITHIN, SEARCHRES, BINARY, QUOTA, ACL, PREVIEW,
XAPPLEPUSHSERVICE. Nor: \\Recent, MULTIAPPEND, NTLM, SENTSINCE by the Date field (it goes by INTERNALDATE), pipelined
commands out of order, limits by time or octets a day. SMTP: no CHUNKING, no DSN beyond its parameters.
Guesses: iCloud's malformed VANISHED, how Exchange writes mail anew, what MESSAGELIMIT does to MOVE.
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
