"""What providers are like, as values: capabilities before and after login, mailboxes, quirks, limits.

Read from public sources, not from live accounts; where a quirk's exact shape on the wire is not on record the comment
says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

Boxes = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Quirks:
    """Where a provider differs from the RFCs. All are off by default."""

    visible: int = 0
    """SELECT shows the newest so many messages only, STATUS counts all (Yahoo); UIDONLY lifts it."""
    visible_in_status: bool = False  # STATUS too counts only those (Gmail's "limit IMAP folders to …")
    message_limit: int = 0
    """One command touches at most so many messages (RFC 9738)."""
    permuted_copyuid: bool = False
    idle_hides_expunge: bool = False
    rfc822_yields_nothing: bool = False
    no_enabled: bool = False  # ENABLE is obeyed, and not answered
    vanished: str = ""
    """`clipped`: VANISHED (EARLIER) ends at the highest live UID if the set ended with `*` (cyrus-imapd #6071);
    `malformed`: no parentheses, and UIDs that live are among them (the shape is a guess; that mail vanishes is not)."""
    duplicate_list: bool = False
    attributes_always: bool = True  # LIST shows \Sent etc. though SPECIAL-USE is not advertised, or not asked for
    id_before_select: bool = False
    status_omits: frozenset[str] = frozenset()
    size_differs: int = 0  # RFC822.SIZE is so much more than the truth
    regenerates: bool = False  # a copied or moved message has other octets
    append_hidden: bool = False  # an APPEND shows in a selected mailbox only at the next SELECT (Courier)
    search_lacks: frozenset[str] = frozenset()
    capability_spaces: bool = False
    select_omits: frozenset[str] = frozenset()  # response codes: UIDNEXT, PERMANENTFLAGS
    tells_after_login: bool = True  # CAPABILITY comes with the login's OK
    lies: frozenset[str] = frozenset()
    """Capabilities that are advertised; whatever uses them gets BAD."""


@dataclass(frozen=True)
class Personality:
    """One kind of server. `replace` makes variants; `quirk` changes single quirks."""

    name: str
    before: str
    """Capabilities before login; AUTH= are the mechanisms, LOGINDISABLED refuses LOGIN."""
    after: str
    greeting: str = "IMAP4rev1 service is ready"
    delimiter: str = "/"
    prefix: str = ""
    """The personal namespace: mailboxes can be made below it only."""
    boxes: Boxes = (("INBOX", ()),)
    gmail: bool = False
    max_line: int = 65_536
    """Octets of a command without its literals; more gets BAD and the end of the connection."""
    refusal: str = "NO [AUTHENTICATIONFAILED] Authentication failed."
    oauth_challenge: str = '{"status":"400","schemes":"Bearer","scope":"https://mail.test/"}'
    backoff: str = "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"
    quirks: Quirks = field(default_factory=Quirks)

    def replace(self, **changes: Any) -> Personality:
        return replace(self, **changes)

    def quirk(self, **changes: Any) -> Personality:
        return replace(self, quirks=replace(self.quirks, **changes))

    def without(self, *capabilities: str) -> Personality:
        """The same server, without some of its extensions."""

        def left(words: str) -> str:
            return " ".join(word for word in words.split() if word not in capabilities)

        name = f"{self.name}-without-{'-'.join(capabilities).lower()}"
        return replace(self, name=name, before=left(self.before), after=left(self.after))

    def lying(self, *capabilities: str) -> Personality:
        """Advertises them and answers BAD."""
        told = " ".join(dict.fromkeys([*self.after.split(), *capabilities]))
        return replace(self, after=told).quirk(lies=frozenset(capabilities))


ROLES: Boxes = (("INBOX", ()), ("Drafts", ("\\Drafts",)), ("Sent", ("\\Sent",)), ("Trash", ("\\Trash",)),
                ("Junk", ("\\Junk",)), ("Archive", ("\\Archive",)))

GMAIL = Personality(
    "gmail",
    before="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN "
    "AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER",
    after="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE "
    "CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584",
    greeting="Gimap ready for requests from 192.0.2.1",
    boxes=(
        ("INBOX", ()), ("[Gmail]", ("\\Noselect",)), ("[Gmail]/All Mail", ("\\All",)),
        ("[Gmail]/Drafts", ("\\Drafts",)), ("[Gmail]/Important", ("\\Important",)), ("[Gmail]/Sent Mail", ("\\Sent",)),
        ("[Gmail]/Spam", ("\\Junk",)), ("[Gmail]/Starred", ("\\Flagged",)), ("[Gmail]/Trash", ("\\Trash",)),
    ),
    gmail=True,
    refusal="NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    oauth_challenge='{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
    backoff="NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
)

_EXCHANGE = "IMAP4 IMAP4rev1 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
_OUTLOOK: Boxes = (("INBOX", ()), ("Deleted Items", ()), ("Drafts", ()), ("Junk Email", ()), ("Sent Items", ()),
                   ("Archive", ()), ("Outbox", ()))
M365 = Personality(
    "m365",
    before="IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE "
    "LITERAL+",
    after=_EXCHANGE,
    greeting="The Microsoft Exchange IMAP4 service is ready. [QwBQAA==]",
    boxes=_OUTLOOK,
    max_line=10_240,
    refusal="NO AUTHENTICATE failed.",
    oauth_challenge="",  # it says only NO
    quirks=Quirks(size_differs=31, regenerates=True, tells_after_login=False),
)
EXCHANGE = Personality(
    "exchange",
    before="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=NTLM SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
    after=_EXCHANGE,
    greeting="The Microsoft Exchange IMAP4 service is ready.",
    boxes=_OUTLOOK,
    max_line=10_240,
    refusal="NO LOGIN failed.",
    quirks=Quirks(size_differs=17, regenerates=True, tells_after_login=False),
)
YAHOO = Personality(
    "yahoo",
    before="IMAP4rev1 ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN UNSELECT OBJECTID SASL-IR "
    "AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER",
    after="IMAP4rev1 ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN UNSELECT OBJECTID IDLE ENABLE "
    "UIDONLY LIST-STATUS LIST-EXTENDED SPECIAL-USE MESSAGELIMIT=1000 PARTIAL ESEARCH APPENDLIMIT=41697280",
    greeting="IMAP4rev1 Hello",
    boxes=(("Inbox", ()), ("Archive", ("\\Archive",)), ("Bulk", ("\\Junk",)), ("Draft", ("\\Drafts",)),
           ("Sent", ("\\Sent",)), ("Trash", ("\\Trash",))),
    refusal="NO [AUTHENTICATIONFAILED] AUTHENTICATE Invalid credentials",
    backoff="NO [LIMIT] UID FETCH Rate limit hit.",
    quirks=Quirks(visible=10_000, message_limit=1000, permuted_copyuid=True, idle_hides_expunge=True,
                  search_lacks=frozenset({"NOT"})),
)
ICLOUD = Personality(
    "icloud",
    before="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PTOKEN AUTH=PLAIN",
    after="XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR CONDSTORE ENABLE QRESYNC QUOTA XAPPLELITERAL NAMESPACE UIDPLUS "
    "CHILDREN BINARY UNSELECT SORT ESEARCH IDLE ID WITHIN LIST-EXTENDED LIST-STATUS",
    greeting="[CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN]  (2522B20) ms-imap-proxy",
    boxes=(("INBOX", ()), ("Archive", ()), ("Deleted Messages", ("\\Trash",)), ("Drafts", ()), ("Junk", ()),
           ("Sent Messages", ("\\Sent",))),
    quirks=Quirks(rfc822_yields_nothing=True, no_enabled=True, vanished="malformed", capability_spaces=True),
)
ZOHO = Personality(
    "zoho",
    before="IMAP4rev1 UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ESEARCH "
    "LIST-EXTENDED LIST-STATUS WITHIN LITERAL- APPENDLIMIT=20971520",
    after="IMAP4rev1 UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID SASL-IR UIDPLUS ESEARCH LIST-EXTENDED "
    "LIST-STATUS WITHIN LITERAL- APPENDLIMIT=20971520 CONDSTORE",
    boxes=(("INBOX", ()), ("Drafts", ("\\Drafts",)), ("Templates", ()), ("Sent", ("\\Sent",)), ("Spam", ("\\Junk",)),
           ("Trash", ("\\Trash",))),
    quirks=Quirks(duplicate_list=True),
)
NETEASE = Personality(
    "163",
    before="IMAP4rev1 XLIST SPECIAL-USE ID LITERAL+ STARTTLS XAPPLEPUSHSERVICE UIDPLUS X-CM-EXT-1 SASL-IR AUTH=XOAUTH2",
    after="IMAP4rev1 XLIST SPECIAL-USE ID LITERAL+ XAPPLEPUSHSERVICE UIDPLUS X-CM-EXT-1",
    greeting="Coremail System IMap Server Ready(163com[10774b260cc7a37d26d71b52404dcf5c])",
    boxes=(("INBOX", ()), ("&g0l6P3ux-", ("\\Drafts",)), ("&XfJT0ZAB-", ("\\Sent",)), ("&XfJSIJZk-", ("\\Trash",)),
           ("&V4NXPpCuTvY-", ("\\Junk",))),
    refusal="NO LOGIN Login error or password error",
    quirks=Quirks(id_before_select=True, status_omits=frozenset({"UIDNEXT"}), tells_after_login=False),
)
COURIER = Personality(
    "courier",
    before="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT SORT QUOTA IDLE AUTH=PLAIN STARTTLS",
    after="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT SORT QUOTA IDLE",
    greeting="[CAPABILITY IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE AUTH=PLAIN] Courier-IMAP ready.",
    delimiter=".",
    prefix="INBOX.",
    boxes=(("INBOX", ()), ("INBOX.Drafts", ()), ("INBOX.Sent", ()), ("INBOX.Trash", ())),
    refusal="NO Login failed.",
    quirks=Quirks(append_hidden=True, tells_after_login=False),
)
HMAIL = Personality(
    "hmail",
    before="IMAP4 IMAP4rev1 CHILDREN IDLE QUOTA SORT ACL NAMESPACE RIGHTS=texk",
    after="IMAP4 IMAP4rev1 CHILDREN IDLE QUOTA SORT ACL NAMESPACE RIGHTS=texk",
    delimiter=".",
    boxes=(("INBOX", ()), ("Sent", ()), ("Trash", ()), ("Drafts", ())),
    refusal="NO Invalid user name or password.",
    quirks=Quirks(tells_after_login=False),
)
DOVECOT = Personality(
    "dovecot",
    before="IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 "
    "AUTH=OAUTHBEARER",
    after="IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED CONDSTORE "
    "QRESYNC ESEARCH SEARCHRES WITHIN LIST-STATUS BINARY MOVE SPECIAL-USE LITERAL+ UNSELECT COMPRESS=DEFLATE",
    greeting="Dovecot ready.",
    boxes=ROLES,
)
DOVECOT_BARE = replace(DOVECOT.without("CONDSTORE", "QRESYNC"), name="dovecot-bare")
_CYRUS = (
    "IMAP4rev1 LITERAL+ ID ENABLE CHILDREN NAMESPACE UIDPLUS UNSELECT WITHIN ESEARCH SEARCHRES LIST-EXTENDED "
    "LIST-STATUS SPECIAL-USE CONDSTORE QRESYNC MOVE OBJECTID IDLE COMPRESS=DEFLATE"
)
CYRUS = Personality(
    "cyrus",
    before="IMAP4rev1 LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN SASL-IR",
    after=_CYRUS,
    greeting="mail.test Cyrus IMAP 3.6.1 server ready",
    delimiter=".",
    prefix="INBOX.",
    boxes=(("INBOX", ()), ("INBOX.Drafts", ("\\Drafts",)), ("INBOX.Sent", ("\\Sent",)), ("INBOX.Trash", ("\\Trash",)),
           ("INBOX.Archive", ("\\Archive",))),
    quirks=Quirks(vanished="clipped"),
)
FASTMAIL = Personality(
    "fastmail",
    before="IMAP4rev1 LITERAL+ ID ENABLE SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=OAUTHBEARER",
    after=f"{_CYRUS} X-REPLICATION PREVIEW",
    greeting="IMAP4 ready",
    boxes=ROLES,
    quirks=Quirks(vanished="clipped"),
)
PLAIN = Personality(
    "plain", before="IMAP4rev1 AUTH=PLAIN", after="IMAP4rev1", boxes=(("INBOX", ()),),
    quirks=Quirks(tells_after_login=False, attributes_always=False, select_omits=frozenset({"UIDNEXT"})),
)

PERSONALITIES = {
    one.name: one
    for one in (GMAIL, M365, EXCHANGE, YAHOO, ICLOUD, ZOHO, NETEASE, COURIER, HMAIL, DOVECOT, DOVECOT_BARE, CYRUS,
                FASTMAIL, PLAIN)
}
