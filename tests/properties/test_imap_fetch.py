"""FETCH sections against plain slicing of the octets, SEARCH's cheap tests against a literal reading of the keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.search_keys import Candidate, Compiler
from gateway.imap.sections import locate
from gateway.mime import node_of, parse
from gateway.model import sequence
from gateway.model.flags import SYSTEM_FLAGS
from gateway.model.sequence import SequenceSet
from gateway.store import find
from gateway.wire import search as keys
from gateway.wire.fetch import BodySection, SectionText

LINES = st.sampled_from(
    [
        *(b"Subject: x", b"From: a@b", b"Content-Type: multipart/mixed; boundary=X", b"Content-Type: message/rfc822"),
        *(b"", b"--X", b"--X--", b"text", b"\tfolded", b"\0\xff"),
    ]
)
MESSAGES = st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n"])), max_size=14).map(
    lambda lines: b"".join(line + end for line, end in lines)
)
PARTIALS = st.one_of(st.none(), st.tuples(st.integers(0, 60), st.integers(1, 60)))


@given(
    octets=MESSAGES,
    text=st.sampled_from([SectionText.ALL, SectionText.HEADER, SectionText.TEXT]),
    path=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    partial=PARTIALS,
)
def test_a_section_is_a_slice_of_the_octets(
    octets: bytes, text: SectionText, path: tuple[int, ...], partial: tuple[int, int] | None
) -> None:
    parsed = parse(octets)
    header, body = parsed.header, octets[len(parsed.header) :]

    def fetched(section: BodySection) -> bytes | None:
        found = locate(section, header, len(body), lambda: node_of(parsed.root), lambda start, stop: body[start:stop])
        return None if found is None else found.octets + body[found.start : found.stop]

    whole = fetched(BodySection(b"", path, text))
    window = fetched(BodySection(b"", path, text, partial=partial))
    if whole is None:
        assert window is None
        assert path
        return
    assert whole in octets
    assert window == (whole if partial is None else whole[partial[0] : partial[0] + partial[1]])
    if not path:
        assert whole == {SectionText.ALL: octets, SectionText.HEADER: header, SectionText.TEXT: body}[text]


SETS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=3).map(
    lambda pairs: SequenceSet(tuple(pairs))
)
LEAVES = st.one_of(
    st.just(keys.All()),
    st.builds(keys.SystemFlag, st.sampled_from(sorted(SYSTEM_FLAGS.values())), st.booleans()),
    st.builds(keys.Keyword, st.sampled_from(["work", "WORK", "none"]), st.booleans()),
    st.builds(keys.Recent, st.booleans()),
    st.builds(keys.Numbers, SETS, st.booleans()),
    st.builds(keys.Size, st.booleans(), st.integers(0, 5)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(keys.Not, inner),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: keys.And(tuple(found))),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: keys.Or(tuple(found))),
    ),
    max_leaves=12,
)


def literally(key: keys.SearchKey, found: Candidate) -> bool:
    match key:
        case keys.All():
            return True
        case keys.SystemFlag(flag=flag, present=present):
            return bool(found.mask & flag) == present
        case keys.Keyword(name=name, present=present):
            return bool(name.lower() == "work" and found.mask & 32) == present
        case keys.Recent(present=present):
            return not present
        case keys.Numbers(messages=messages, uid=uid):
            return sequence.contains(messages.resolve(12), found.uid if uid else found.number)
        case keys.Size(larger=larger, octets=octets):
            return found.size > octets if larger else found.size < octets
        case keys.Not(key=inner):
            return not literally(inner, found)
        case keys.And(keys=inner):
            return all(literally(part, found) for part in inner)
        case keys.Or(keys=inner):
            return any(literally(part, found) for part in inner)
    raise AssertionError(key)


def in_row(condition: find.Condition, found: Candidate) -> bool:
    """What the database is to test."""
    match condition:
        case find.Between(field=find.Field.SIZE, low=low, high=high):
            return (low is None or low <= found.size) and (high is None or found.size < high)
        case find.Not(part=part):
            return not in_row(part, found)
        case find.Every(parts=parts):
            return all(in_row(part, found) for part in parts)
        case find.Some(parts=parts):
            return any(in_row(part, found) for part in parts)
    raise AssertionError(condition)


@given(
    key=TREES,
    number=st.integers(1, 10),
    gap=st.integers(0, 2),
    mask=st.integers(0, 63),
    size=st.integers(0, 6),
)
def test_compiled_criteria_mean_what_they_say(key: keys.SearchKey, number: int, gap: int, mask: int, size: int) -> None:
    compiler = Compiler(exists=12, last_uid=12, keywords={5: "Work"}, now=0)
    compiled = compiler.compile(key)
    found = Candidate(number, number + gap, mask, 0, size)
    passes = (
        not compiled.impossible
        and mask & compiled.care == compiled.want
        and all(
            sequence.contains(compiler.ranges(numbers), found.uid if numbers.uid else found.number)
            for numbers in compiled.within
        )
        and (compiled.memory is None or compiled.memory(found))
        and (compiled.rows is None or in_row(compiled.rows, found))
        and all(test(found) for _, test in compiled.rest or ())
    )
    assert passes == literally(key, found)
