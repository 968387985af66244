"""The transcript shows what was said, and neither mail nor secrets."""

from __future__ import annotations

from gateway.upstream.transcript import HEAD, Transcript


def lines(transcript: Transcript) -> list[str]:
    return [line for _, line in transcript.lines()]


def test_the_beginning_and_a_ring_of_the_last_lines() -> None:
    transcript = Transcript(size=3, clock=lambda: 7.0)
    assert transcript.lines() == []
    for number in range(HEAD + 5):
        transcript.sent(b"A%d NOOP" % number)
    transcript.note("connection closed")
    lines = transcript.lines()
    assert lines[:HEAD] == [(7.0, f"C: A{number} NOOP") for number in range(HEAD)]
    last = [f"C: A{HEAD + 3} NOOP", f"C: A{HEAD + 4} NOOP", "- connection closed"]
    assert lines[HEAD:] == [(7.0, text) for text in ("- 3 lines are left out", *last)]
    transcript.keep(5)
    for _ in range(2):
        transcript.sent(b"B NOOP")
    after = ["- 3 lines are left out", *last, "C: B NOOP", "C: B NOOP"]
    assert [text for _, text in transcript.lines()[HEAD:]] == after


def test_rows_are_counted_and_their_strings_left_out() -> None:
    transcript = Transcript()
    transcript.heard(b'* 1 FETCH (UID 1 BODY[] "my \\" secret" X "y")')
    for _ in range(9):
        transcript.heard(b"* 2 FETCH (UID 2)")
    transcript.heard(b"A1 OK done")
    transcript.heard(b'* 1 FETCH (BODY[] "half')
    assert lines(transcript) == [
        'S: * 1 FETCH (UID 1 BODY[] "..." X "...")', "- 9 more FETCH responses", "S: A1 OK done",
        "S: * 1 FETCH (BODY[]",
    ]  # fmt: skip


def test_challenges_are_left_out_and_long_lines_cut() -> None:
    transcript = Transcript()
    transcript.heard(b"+ c2VjcmV0")
    transcript.heard(b"* OK \x1b[31m" + b"x" * 1000)
    found = lines(transcript)
    assert found[0] == "S: + ..."
    assert found[1].startswith("S: * OK  [31mxxx")
    assert found[1].endswith(" ...")
    assert len(found[1]) < 320


def test_the_same_rows_again_are_rows_again() -> None:
    transcript = Transcript()
    transcript.heard(b"* 1 FETCH (UID 1)")
    transcript.heard(b"* 2 FETCH (UID 2)")
    assert lines(transcript)[-1] == "- 1 more FETCH responses"
    transcript.heard(b"* 3 FETCH (UID 3)")
    assert lines(transcript)[-1] == "S: * 3 FETCH (UID 3)"


def test_all_that_is_asked_for_is_kept_and_not_much_more() -> None:
    transcript = Transcript(size=60, clock=lambda: 1.5)
    for number in range(1_000):
        transcript.sent(b"A%d NOOP" % number)
        if number == 500:
            transcript.keep(100)
    found = lines(transcript)
    assert found[:HEAD] == [f"C: A{number} NOOP" for number in range(HEAD)]
    last = [f"C: A{number} NOOP" for number in range(900, 1_000)]
    assert found[HEAD:] == [f"- {900 - HEAD} lines are left out", *last]
    assert len(transcript._blocks) <= 2 + 100 // HEAD + 1, "what nobody asks for goes"


def test_signs_that_end_lines_end_none() -> None:
    transcript = Transcript(clock=lambda: 1.25)
    transcript.note("a\nb\u2028c")
    assert transcript.lines() == [(1.25, "- a b c")]
