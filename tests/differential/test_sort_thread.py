"""SORT and THREAD on our server and on Dovecot: the same orders and the same trees."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.differential.conftest import Pair
from tests.differential.letters import letters
from tests.support.soak import SOAK

_COUNT = 300
_SEEDS = range(1, 21 if SOAK else 3)
_CRITERIA = (
    b"ARRIVAL", b"CC", b"DATE", b"DISPLAYFROM", b"DISPLAYTO", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"REVERSE SUBJECT",
    b"REVERSE DATE", b"SUBJECT REVERSE DATE", b"FROM SIZE", b"REVERSE TO REVERSE CC SUBJECT",
)  # fmt: skip
_SEARCHES = (b"ALL", b"NOT FROM ann", b'SUBJECT "re"', b"50:250", b"SENTSINCE 1-May-2001", b"BODY nothing-like-this")

_SUBJECT = {
    "broken/huge header": "what stands behind 256 KiB of header is body (security.md)",
    "broken/header over the limit, one line": "likewise",
    "broken/bad encoded words": "what can be read of them is read (parsing.md)",
    "flufl_bounce/sina_01.txt": "raw 8-bit: UTF-8 if all of it is, else Windows-1252 (no RFC says what it is)",
    "broken/fields repeated": "of a repeated Subject the last counts, as in ENVELOPE (parsing.md)",
}
_DATE = {
    "broken/date before 1970": "there are dates before 1970 (parsing.md)",
    "test_email/msg_47.txt": "RFC 5256 2.2: a date with an invalid zone is one in UTC",
    "flufl_bounce/smtp32_01.txt": "RFC 5322 4.3: a year of three digits counts from 1900",
    "broken/fields repeated": "of a repeated Date the last counts, as in ENVELOPE (parsing.md)",
}
_ADDRESS = {
    **dict.fromkeys(
        ("flufl_bounce/bounce_01.txt", "flufl_bounce/simple_24.txt", "flufl_bounce/simple_31.txt",
         "flufl_bounce/simple_35.txt", "test_email/msg_43.txt", "broken/odd addresses"),
        "no address by any RFC: each side makes its own ENVELOPE of it (accepted.py), and RFC 5256 3 sorts by that",
    ),
    "test_email/msg_05.txt": "an address without a domain: Dovecot writes MISSING_DOMAIN (parsing.md)",
}  # fmt: skip
_SIZE = {"broken/bare CR": "RFC822.SIZE counts the octets that came; Dovecot turns a bare CR into CRLF (parsing.md)"}
_ACCEPTED = {
    b"ARRIVAL": {},
    b"CC": _ADDRESS,
    b"DATE": _DATE,
    b"DISPLAYFROM": _ADDRESS,
    b"DISPLAYTO": _ADDRESS,
    b"FROM": _ADDRESS,
    b"SIZE": _SIZE,
    b"SUBJECT": _SUBJECT,
    b"TO": _ADDRESS,
    b"ORDEREDSUBJECT": _SUBJECT | _DATE,
    b"REFERENCES": _SUBJECT | _DATE,
    b"REFS": {**_DATE, "broken/references": "RFC 5256 2.2: of equal dates the lower number comes first, here too"},
}
"""Messages that are left out of a comparison, each with its reason."""


@pytest.fixture(scope="module", params=_SEEDS)
def discussion(open_pair: Callable[..., Pair], request: pytest.FixtureRequest) -> Pair:
    return open_pair(list(letters(_COUNT, request.param)))


@pytest.mark.parametrize("criteria", _CRITERIA, ids=bytes.decode)
def test_orders(discussion: Pair, criteria: bytes) -> None:
    for search in _SEARCHES:
        command = b"SORT (%b) UTF-8 %b" % (criteria, search)
        ours, theirs = discussion.ours.numbers(command), discussion.theirs.numbers(command)
        assert ours == theirs, command
        assert len(ours) == _COUNT or search != b"ALL"


@pytest.mark.parametrize("algorithm", [b"ORDEREDSUBJECT", b"REFERENCES", b"REFS"], ids=bytes.decode)
def test_trees(discussion: Pair, algorithm: bytes) -> None:
    for search in _SEARCHES:
        command = b"THREAD %b UTF-8 %b" % (algorithm, search)
        ours, theirs = discussion.ours.tree(command), discussion.theirs.tree(command)
        assert ours == theirs, command
        assert ours or search == b"BODY nothing-like-this"


def _others(pair: Pair, accepted: dict[str, str]) -> bytes:
    """The messages that are not in the table, as a sequence set."""
    names = [mail.name for mail in pair.mails]
    assert accepted.keys() <= set(names)
    return b",".join(b"%d" % number for number, name in enumerate(names, 1) if name not in accepted)


@pytest.mark.parametrize("what", _ACCEPTED, ids=bytes.decode)
def test_real_mail(pair: Pair, what: bytes) -> None:
    numbers = _others(pair, _ACCEPTED[what])
    if what in {b"ORDEREDSUBJECT", b"REFERENCES", b"REFS"}:
        command = b"THREAD %b UTF-8 %b" % (what, numbers)
        assert pair.ours.tree(command) == pair.theirs.tree(command)
    else:
        command = b"SORT (%b) UTF-8 %b" % (what, numbers)
        assert pair.ours.numbers(command) == pair.theirs.numbers(command)
