"""RFC 5256 base subjects."""

from __future__ import annotations

import pytest

from gateway.mime import base_subject, is_reply_or_forward


@pytest.mark.parametrize(
    ("subject", "base", "marked"),
    [
        ("Hello", "Hello", False),
        ("  two   blanks\t here ", "two blanks here", False),
        ("Re: Hello", "Hello", True),
        ("RE: re:Fwd: fw : Hello", "Hello", True),
        ("Re[2]: Hello", "Hello", True),
        ("Re [2] : Hello", "Hello", True),
        ("Hello (fwd)", "Hello", True),
        ("Hello (FWD) (fwd) ", "Hello", True),
        ("[list] Re: [list] Hello", "Hello", True),
        ("[list] Hello", "Hello", False),
        ("[a] [b] [c]", "[c]", False),
        ("[fwd: Hello]", "Hello", True),
        ("[Fwd: Re: [list] Hello (fwd)]", "Hello", True),
        ("[fwd: [fwd: x]]", "x", True),
        ("Re: ", "", True),
        ("Re: [x]", "[x]", True),
        ("", "", False),
        ("(fwd)", "", True),
        ("Regarding: x", "Regarding: x", False),
        ("re x", "re x", False),
        ("AW: x", "AW: x", False),
        ("[unclosed Re: x", "[unclosed Re: x", False),
        ("Re: [a] Re: [b] c [d]", "c [d]", True),
    ],
)
def test_base_subject(subject: str, base: str, marked: bool) -> None:
    assert base_subject(subject) == base
    assert is_reply_or_forward(subject) is marked


@pytest.mark.parametrize("unit", ["[a]", "[fwd:", "re:", "(fwd)", "[", "] ", "re[a]", " "])
def test_hostile_subjects_end(unit: str) -> None:
    whole = unit * (256 * 1024 // len(unit))
    assert len(base_subject(whole)) <= len(whole)
    assert len(base_subject(whole + "]" * 40_000)) <= len(whole) + 40_000
