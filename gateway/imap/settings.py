"""Limits and timers of the IMAP server, each with its reason (security.md "Limits")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FETCH_PAGE: Final = 500  # messages a page: one read transaction, rendered in one go by a reader process
BODY_PAGE: Final = 50  # messages a page when small bodies come with their rows
PAGES_AHEAD: Final = 4  # pages under way in reader processes while one is sent: less leaves them waiting for jobs
TINY_PAGE: Final = 4  # messages a page that is read on the loop itself: a thread would cost more than the read
TELL_PAGE: Final = 4000  # changes told a turn: 5-7 ms of the loop
IDLE_PAGE: Final = 500  # the same to who sent no command: all sessions of a mailbox have such news at once
TELL_TURN: Final = 500  # changes told a turn of the loop to sessions that sent no command …
TELL_COST: Final = 25  # … where each session counts as so many
NEWS_PAGE: Final = 200  # LIST and STATUS responses of NOTIFY at once: 2 ms of the loop
NEWS_LOOK: Final = 20  # mailboxes of one wake-up that are looked at on the loop; for more a thread is asked
NEWS_KEPT: Final = 1000  # changes of names that wait for a client; one further behind gets NOTIFICATIONOVERFLOW
NOTIFY_MOST: Final = 5000  # mailboxes whose messages one NOTIFY may ask for; more is NO [NOTIFICATIONOVERFLOW]
BRIEF_PARTS: Final = 16 * 1024  # octets of a part table, some 300 parts, that are read on the loop: 0.4 ms
MEMORY_PAGE: Final = 2000  # messages a turn when UIDs and flags come from memory: 1-2 ms of the loop
MASK_PAGE: Final = 20_000  # the same when only flags are compared
SEARCH_ROWS: Final = 10_000  # messages a page when the database compares their rows: 3 ms of a reader
SEARCH_PAGE: Final = 500  # rows a page when only narrow columns are read
SEARCH_TEXT_PAGE: Final = 4000  # messages a page when stored text is looked through …
SEARCH_SECONDS: Final = 0.025  # … unless it takes so long: others wait for the reader, and the WAL
SEARCH_SLICE: Final = 256  # messages a statement meanwhile, divided by the keys that ask for text: 16 MiB at most
LIST_WORK: Final = 20_000  # characters of mailbox names matched a turn of the loop, times patterns: about 5 ms
CHANGE_CUT: Final = 4000  # messages an EXPUNGE or MOVE unit, or a STORE that shows each: the writer is held about 10 ms
STORE_CUT: Final = 20_000  # messages a STORE unit whose answer is one line: the same
LOAD_PAGE: Final = 10_000  # rows a page of a mailbox's first load
BODY_READ: Final = 256 * 1024  # octets a read of a large body
BODY_PIECE: Final = 64 * 1024  # octets handed to the transport at once; TLS copies what it is given
INLINE_BODY: Final = 64 * 1024  # messages up to this size are read and rendered with their page
PAGE_OCTETS: Final = 512 * 1024  # octets of inline bodies a page may gather before it is sent
PAGE_WORK: Final = 8 * 1024 * 1024  # octets a page may read and decode; one message may take it over: 50-100 ms
TINY_CHANGE: Final = 100  # messages of an own change that are read back on the loop rather than in a thread


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """What an operator may change. Times in seconds, sizes in octets."""

    max_message_size: int = 10_485_760
    """APPEND over it: NO [TOOBIG]."""
    handshake_timeout: float = 10.0
    """For a TLS handshake."""
    login_timeout: float = 60.0
    """From the connection to a login, in total: an unknown peer holds no socket longer."""
    idle_timeout: float = 1800.0
    """Without a command after login; RFC 3501 5.4 asks for 30 minutes at least."""
    keepalive: float = 120.0
    """IDLE sends `* OK Still here` so often: address translators forget quiet connections."""
    write_timeout: float = 120.0
    """A peer that takes nothing for so long while output waits is dropped."""
    close_timeout: float = 5.0
    """After loseConnection: a peer that does not read never finishes the close by itself."""
    max_bad_before_login: int = 10
    """Malformed commands of an unknown peer before BYE."""
    max_bad: int = 50
    """Malformed commands in a row after login before BYE: a client stuck in a loop."""
    max_login_failures: int = 10
    """Failed logins on one connection before BYE; three is what Thunderbird needs, ten is no mistyping person."""
    state_bytes: int = 128 * 1024 * 1024
    """Memory for mailbox states that no session has selected."""
    coalesce: float = 0.002
    """Wake-ups of one mailbox within this time are answered by one look at the store."""
    server_comment: str = ""
    """/shared/comment of the server (RFC 5464 3.2.1.1); empty: it has none."""
    server_admin: str = ""
    """/shared/admin of the server: a URI."""
    message_limit: int = 0
    """Messages that one command may process (RFC 9738); 0: no limit."""
    compress: bool = False
    """Offer COMPRESS=DEFLATE (RFC 4978): less traffic for more CPU and 180 KiB of memory a connection."""
    unauthenticate: bool = True
    """Offer UNAUTHENTICATE (RFC 8437 8 asks for a way not to)."""
    progress: float = 10.0
    """A command that runs so long tells how far it is (RFC 9585), and again each time as much has passed."""
    product: str = "Gateway"
    """What ID names."""
