"""Search criteria that somebody wrote: parsed by our grammar, sent anew, and the same when they are parsed again."""

from __future__ import annotations

import pytest

from gateway.connectors.search_terms import terms
from gateway.upstream.compose import Literal
from gateway.upstream.errors import Refused
from gateway.upstream.terms import rendered
from gateway.upstream.wants import SearchWants
from gateway.wire.parse_search import criteria
from gateway.wire.tokens import Cursor


def sent(text: str) -> tuple[str, bool]:
    """As one line, literals in angle brackets."""
    parts, utf8 = rendered(terms(text))
    shown = [part.decode() if isinstance(part, bytes) else f"<{part.octets.decode()}>"  # type: ignore[union-attr]
             for part in parts]  # fmt: skip
    return " ".join(shown), utf8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ALL"),
        ("unseen from boss", 'UNSEEN FROM "boss"'),
        ("OR FLAGGED LARGER 100", "OR FLAGGED LARGER 100"),
        ("OR FLAGGED OR SEEN DELETED", "OR FLAGGED OR SEEN DELETED"),
        ("NOT KEYWORD $Done", "NOT KEYWORD $Done"),
        ("NOT (SEEN FLAGGED)", "NOT (SEEN FLAGGED)"),
        ("OR (SEEN FLAGGED) (DRAFT UNANSWERED)", "OR (SEEN FLAGGED) (DRAFT UNANSWERED)"),
        ("OR (SEEN (OR (DRAFT SMALLER 1) FLAGGED)) ALL", "OR (SEEN OR (DRAFT SMALLER 1) FLAGGED) ALL"),
        ("SINCE 1-Feb-2026 SENTBEFORE 2-Mar-2026", "SINCE 1-Feb-2026 SENTBEFORE 2-Mar-2026"),
        ('HEADER List-Id "a b" SUBJECT "say \\"hi\\""', 'HEADER LIST-ID "a b" SUBJECT "say \\"hi\\""'),
        ("CC x BCC y BODY z TEXT w", 'CC "x" BCC "y" BODY "z" TEXT "w"'),
    ],
)
def test_they_are_sent_as_they_were_meant(text: str, expected: str) -> None:
    assert sent(text) == (expected, False)
    assert criteria(Cursor(expected.encode()), "utf-8") == terms(text), "the server reads the same"


def test_text_that_is_not_ascii_goes_in_literals() -> None:
    assert sent("SUBJECT zürich") == ("SUBJECT <zürich>", True)
    assert sent("NOT (SEEN SUBJECT zürich)") == ("NOT (SEEN SUBJECT <zürich> ALL)", True), "no word can take the `)`"
    parts, utf8 = SearchWants(seen=False, terms=terms("FROM zoë")).render()
    assert parts == [b"UNSEEN", b"FROM", Literal("zoë".encode())]
    assert utf8


@pytest.mark.parametrize("text", ["1:5", "UID 7", "YOUNGER 5", "MODSEQ 3", "X-GM-RAW a", "SEEN\r\nA1 LOGOUT", "FROM"])
def test_what_needs_a_session_or_another_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        terms(text)


def test_a_tree_from_elsewhere_is_refused_too() -> None:
    with pytest.raises(Refused):
        rendered(criteria(Cursor(b"UID 1:5"), "utf-8"))
