"""Where the two servers' answers differ and ours is meant: one table, each row with its reason. All else fails.

A row that no difference falls under any more fails too: the table says what is, not what was.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.differential.client import Value


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs. `path` leads to it in the answer to `question`, `within` is the list it stands in.

    For SEARCH the values are whether the message was found.
    """

    mail: str
    octets: bytes
    question: str
    path: tuple[int, ...]
    within: Value
    ours: Value | bool
    theirs: Value | bool

    def __str__(self) -> str:
        return f"{self.mail}: {self.question} {self.path}\n   ours: {self.ours!r:.300}\n theirs: {self.theirs!r:.300}"


def differences(
    mail: str, octets: bytes, question: str, ours: Value, theirs: Value,
    path: tuple[int, ...] = (), within: Value = None,
) -> Iterator[Difference]:  # fmt: skip
    """As deep as the two answers are of one shape."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(mail, octets, question, one, other, (*path, place), ours)
    elif ours != theirs:
        yield Difference(mail, octets, question, path, within, ours, theirs)


@dataclass(frozen=True, slots=True)
class Accepted:
    """`question`: what it fits from its beginning on; `mails`: their names, all with None; `test`: all with None.

    The name of a message that was made of another one (`corpora.recombined`) begins with the other's.
    """

    reason: str
    question: str
    mails: frozenset[str] | None = None
    test: Callable[[Difference], bool] | None = None

    def covers(self, found: Difference) -> bool:
        return (
            (self.mails is None or found.mail.partition("#")[0] in self.mails)
            and re.match(self.question, found.question) is not None
            and (self.test is None or self.test(found))
        )


def _texts(found: Difference) -> tuple[bytes, bytes] | None:
    ours, theirs = found.ours, found.theirs
    return (bytes(ours), bytes(theirs)) if isinstance(ours, bytes) and isinstance(theirs, bytes) else None


def _blanks(found: Difference) -> bool:
    both = _texts(found)
    return both is not None and both[0].split() == both[1].split()


def _without_case(found: Difference) -> bool:
    """Types, encodings and names of parameters; never a value."""
    both = _texts(found)
    if both is None or both[0] != both[1].lower() or not isinstance(found.within, tuple):
        return False
    part = len(found.within) >= 7 or any(isinstance(item, tuple) for item in found.within[:1])
    return part or found.path[-1] % 2 == 0


def _boundary_line_end(found: Difference) -> bool:
    both = _texts(found)
    if both is None:
        return False
    ours, theirs = both
    if found.question.startswith("BODY["):
        return theirs == ours + b"\r\n" and ours + b"\r\n--" in found.octets
    numbers = ours.isdigit() and theirs.isdigit()
    in_message = isinstance(found.within, tuple) and found.within[0] == b"message"
    return numbers and in_message and int(theirs) - int(ours) == {6: 2, 9: 1, 7: 1}.get(found.path[-1])


def _blank_line_before_boundary(found: Difference) -> bool:
    both = _texts(found)
    return both is not None and both[0] == both[1] + b"\r\n" and both[0] + b"--" in found.octets


def _ends_with_blank_line(found: Difference) -> bool:
    both = _texts(found)
    return both is not None and both[0] in {both[1] + b"\r\n", both[1] + b"\r\n\r\n"}


def _missing_address(found: Difference) -> bool:
    return found.ours == b"" and found.theirs in {b"MISSING_MAILBOX", b"MISSING_DOMAIN"}


def _bad_type(found: Difference) -> bool:
    if isinstance(found.ours, tuple) and isinstance(found.theirs, tuple):
        plain = (b"text", b"plain", (b"charset", b"us-ascii"))
        return found.theirs[:2] == (b"", b"") and found.ours[:3] in {
            plain,
            (*plain[:2], (b"charset", b"utf-8 format=flowed")),
        }
    return found.ours == b"plain" and found.theirs == b""


def _reads_on(found: Difference) -> bool:
    both = _texts(found)
    return both is not None and (both[0].rstrip() + b"\r\n--" in both[1] or both[1].startswith(b"--"))


def _fixed_day(found: Difference) -> bool:
    both = _texts(found)
    return both is not None and both[0][:1] == b" " and b"0" + both[0][1:] == both[1]


def _only_ours(found: Difference) -> bool:
    return found.ours is True


def _only_theirs(found: Difference) -> bool:
    return found.theirs is True


def _no_sent_date(found: Difference) -> bool:
    date = email.message_from_bytes(found.octets, policy=email.policy.compat32)["Date"]
    return date is None or email.utils.parsedate_tz(str(date)) is None


STRUCTURE: Final = r"BODY(STRUCTURE)?$"
"""BODY and BODYSTRUCTURE"""

SECTION: Final = r"BODY\["
SEARCH: Final = "SEARCH CHARSET UTF-8 "
ALL: Final = r""

ACCEPTED: Final = (
    # Octets
    Accepted("octets are kept (RFC 3501 7.4.2); Dovecot takes a CR away before CRLF", ALL,
             frozenset({"broken/bare CR", "broken/CR before LF"})),
    Accepted("256 KiB of a header are parsed (security.md), and what follows is body", ALL,
             frozenset({"broken/huge header", "broken/header over the limit, one line"})),
    # Sections
    Accepted("RFC 2046 5.1.1: the line end before a boundary belongs to it, also where a message or a multipart ends",
             rf"{SECTION}|{STRUCTURE}", None, _boundary_line_end),
    Accepted("RFC 3501 6.4.5: a part's header goes to its blank line, also when a boundary follows at once",
             SECTION, None, _blank_line_before_boundary),
    Accepted("RFC 3501 6.4.5: a subset of the header ends with a blank line, also where the header has none",
             r"BODY\[.*HEADER\.FIELDS", None, _ends_with_blank_line),
    Accepted("a header ends with its part; Dovecot reads on for HEADER.FIELDS.NOT", r"BODY\[.*HEADER\.FIELDS\.NOT",
             None, _reads_on),
    Accepted("RFC 3501 9: a day of one digit is written with a blank (date-day-fixed)", "INTERNALDATE", None,
             _fixed_day),
    # ENVELOPE
    Accepted("RFC 5322 2.2.3: unfolding takes the line ends only; blanks around a field's value are not of it",
             rf"ENVELOPE|{STRUCTURE}", None, _blanks),
    Accepted("RFC 3501 7.4.2: a missing part of an address is empty, not a word that stands in no mail",
             rf"ENVELOPE|{STRUCTURE}", None, _missing_address),
    Accepted("valid addresses beside damaged ones are kept (parsing.md)", rf"ENVELOPE|{STRUCTURE}",
             frozenset({"broken/odd addresses", "flufl_bounce/simple_01.txt", "flufl_bounce/simple_35.txt",
                        "flufl_bounce/simple_37.txt"})),
    # BODYSTRUCTURE
    Accepted("RFC 2045 2: names of types, encodings and parameters compare without case; ours are lower case",
             STRUCTURE, None, _without_case),
    Accepted("RFC 2045 5.2: an unparsable type is text/plain in us-ascii", STRUCTURE, None, _bad_type),
    Accepted("tolerant reading of unquoted, unclosed and misplaced parameters (parsing.md)", STRUCTURE,
             frozenset({"wildduck/fix3.eml", "broken/unclosed quotes", "broken/unquoted boundary with ="})),
    Accepted("RFC 2231 7: what becomes part of an encoded value is escaped, the sign ' too", STRUCTURE,
             frozenset({"test_email/msg_29.txt"})),
    Accepted("RFC 2231: charset* is a charset; no other one is the default beside it", STRUCTURE,
             frozenset({"test_email/msg_32.txt"})),
    Accepted("RFC 2231: a boundary may be encoded; and the order of parameters is kept", rf"{STRUCTURE}|{SECTION}",
             frozenset({"test_email/msg_33.txt"})),
    Accepted("RFC 2231 3: a run of sections is joined up to a gap", STRUCTURE,
             frozenset({"broken/RFC 2231 with a gap"})),
    Accepted("an encoding in quotes counts without them (parsing.md)", STRUCTURE,
             frozenset({"broken/encoding in quotes"})),
    Accepted("a disposition of parameters only has no kind, an empty one is NIL (parsing.md)", STRUCTURE,
             frozenset({"broken/disposition of parameters only", "broken/empty fields"})),
    Accepted("RFC 2046 5.1.1: a boundary has a sign at least and ends with no blank", rf"{STRUCTURE}|{SECTION}",
             frozenset({"broken/empty boundary", "broken/boundary with blank at end"})),
    Accepted("RFC 2046 5.1.1: nothing but blanks follows a boundary on its line (parsing.md)",
             rf"{STRUCTURE}|{SECTION}",
             frozenset({"broken/text behind boundary", "broken/inner boundary begins alike"})),
    Accepted("a boundary as long as a line may be: Dovecot looks at its beginning and misses its end", STRUCTURE,
             frozenset({"broken/long boundary"})),
    Accepted("RFC 2046 4.1.2: charsets compare without case; Dovecot has one form for all plain messages", STRUCTURE,
             frozenset({"flufl_bounce/simple_20.txt"})),
    Accepted("parts nest 100 levels deep, each side counts in its own way", STRUCTURE,
             frozenset({"broken/depth over the limit"})),
    # SEARCH
    Accepted("RFC 5256 2.2: without a valid Date the sent date is INTERNALDATE's (parsing.md); in Dovecot it is 1970",
             f"{SEARCH}SENT", None, _no_sent_date),
    Accepted("there are dates before 1970 (parsing.md)", f"{SEARCH}SENT", frozenset({"broken/date before 1970"})),
    Accepted("RFC 5322 4.3: a year of three digits counts from 1900", f"{SEARCH}SENT",
             frozenset({"flufl_bounce/smtp32_01.txt"})),
    Accepted("RFC 5256 2.2: a date with an invalid zone is one in UTC", f"{SEARCH}SENT",
             frozenset({"test_email/msg_47.txt"})),
    Accepted("RFC 5322 3.3: a day before its month, else it is no date", f"{SEARCH}SENT",
             frozenset({"flufl_bounce/yahoo_02.txt"})),
    Accepted("of a repeated Date the last counts, as in ENVELOPE; Dovecot shows the last and searches the first",
             f"{SEARCH}SENT", frozenset({"broken/fields repeated"})),
    Accepted("RFC 3501 6.4.4: FROM, TO, CC look at the field as it was written; Dovecot at the addresses it made of it",
             rf"{SEARCH}(FROM|TO|CC|OR)", frozenset({
                 "flufl_bounce/bounce_01.txt", "flufl_bounce/simple_24.txt", "flufl_bounce/simple_31.txt",
                 "flufl_bounce/simple_35.txt", "test_email/msg_05.txt", "test_email/msg_15.txt",
                 "test_email/msg_43.txt",
                 "broken/odd addresses", "broken/comments in addresses"})),
    Accepted("raw 8-bit in a header: UTF-8 if all of it is, else Windows-1252 (no RFC says what it is)", SEARCH,
             frozenset({"flufl_bounce/sina_01.txt", "broken/8-bit names"})),
    Accepted("raw 8-bit in a text of no known charset likewise", rf"{SEARCH}(TEXT|BODY)",
             frozenset({"flufl_bounce/simple_25.txt", "flufl_bounce/sina_01.txt", "broken/every octet",
                        "broken/odd charset"}), _only_ours),
    Accepted("TEXT and BODY look at text and reports, not at headers of parts (parsing.md)",
             rf"{SEARCH}(TEXT|BODY)", frozenset({
                 "flufl_bounce/dsn_10.txt", "wildduck/fix2.eml", "wildduck/mimetorture.eml",
                 "wildduck/ryan_finnie_mime_torture.eml"}), _only_theirs),
    Accepted("what can be read of a damaged or oddly written encoding is read (parsing.md)", rf"{SEARCH}(TEXT|BODY)",
             frozenset({"broken/encoding in quotes", "broken/damaged base64"}), _only_ours),
)  # fmt: skip
