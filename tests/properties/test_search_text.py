"""SEARCH for text: what is stored answers as what is decoded while searching, and both as a plain reading of the mail.

A whole page and pages that end at once, small texts and texts in pieces, stored, to be made and half of each: for the
messages of the standard library's email tests and for any that hypothesis thinks of.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.imap import search_page as page
from gateway.imap import search_text as texts
from gateway.imap.search_keys import Criteria
from gateway.maintain import texts as maintain
from gateway.maintain.texts import TextBuilder, TextSettings
from gateway.mime import decode_body, decode_text, fields, fold, node_of, parse, searched_parts, text_of
from gateway.model.ids import MailboxId
from gateway.store import mailboxes
from gateway.store.db import Rx
from gateway.store.trigrams import Index
from gateway.wire import search as keys
from tests.transcripts.harness import NOW, Harness, template
from tests.transcripts.messages import ALL

TextKey = keys.Header | keys.Body | keys.Text

_SPEC = find_spec("test.test_email")
FILES = sorted((Path(_SPEC.origin).parent / "data").glob("msg_*.txt")) if _SPEC and _SPEC.origin else []
NAMES = ("SUBJECT", "FROM", "TO", "CC", "MESSAGE-ID", "CONTENT-TYPE", "X-NOBODY", "RECEIVED", "BAD NAME", "X: Y", "")


class Reading:
    """What the keys mean, by a reading of one message's octets that knows no store."""

    def __init__(self, octets: bytes) -> None:
        parsed = parse(octets)
        body = octets[len(parsed.header) :]
        self.fields = [(field.name.decode(), decode_text(field.value)) for field in fields(parsed.header)]
        self.texts = [
            text_of(decode_body(body[part.header_end : part.body_end], part.encoding), part.charset, part.subtype)
            for part in searched_parts(node_of(parsed.root))
        ]
        self.header = [fold(f"{name}: {value}") for name, value in self.fields]
        self.values = [(name.upper(), fold(value)) for name, value in self.fields]
        self.body = [fold(text) for text in self.texts]

    def passes(self, key: keys.SearchKey) -> bool:
        match key:
            case keys.And(keys=parts):
                return all(self.passes(part) for part in parts)
            case keys.Or(keys=parts):
                return any(self.passes(part) for part in parts)
            case keys.Not(key=inner):
                return not self.passes(inner)
            case keys.Header(name=name, value=value):
                return any(found == name and fold(value) in octets for found, octets in self.values)
            case keys.Body(value=value):
                return not value or any(fold(value) in text for text in self.body)
            case keys.Text(value=value):
                return not value or any(fold(value) in octets for octets in (*self.header, *self.body))
        raise AssertionError(key)


def needles(reading: Reading) -> Iterable[str]:
    """Words, pieces of words and pieces over the ends of lines and fields."""
    for text in (*(f"{name}: {value}" for name, value in reading.fields), *reading.texts):
        for at in (0, len(text) // 3, len(text) - 7):
            yield text[max(at, 0) : at + 7].swapcase()


def keys_of(words: Sequence[str]) -> list[keys.SearchKey]:
    found: list[keys.SearchKey] = []
    for number, word in enumerate(words):
        name = NAMES[number % len(NAMES)]
        found += [keys.Text(word), keys.Body(word), keys.Header(name, word)]
        found.append(keys.Or((keys.Not(keys.Header("SUBJECT", word)), keys.Body(word))))
        found.append(keys.And((keys.Not(keys.Text(word)), keys.Or((keys.Header("FROM", ""), keys.Text("a"))))))
    return found + [keys.Header(name, "") for name in NAMES] + [keys.Body(""), keys.Text(""), keys.Not(keys.Body(""))]


def answers(
    rx: Rx, mailbox: MailboxId, uids: Sequence[int], asked: Sequence[keys.SearchKey], index: Index | None = None
) -> list[list[int]]:
    """What SEARCH finds for each key, page by page; all in one read, for there may be thousands of pages."""
    answered: list[list[int]] = []
    for key in asked:
        criteria = Criteria(key, len(uids), uids[-1], {}, now=NOW)
        assert not page.asks_for_marks(key)
        left = array("I", uids)
        found: list[int] = []
        while left:
            passed, consumed = page.search_page(
                rx, mailbox_id=mailbox, criteria=criteria, uids=left, marks=None, index=index
            )
            assert consumed > 0
            found += passed
            left = left[consumed:]
        answered.append(found)
    return answered


async def compare(harness: Harness, mail: Sequence[bytes], asked: Sequence[keys.SearchKey]) -> None:
    """Deliver `mail`; its answers to `asked` while no text is made, when some is, when all is."""
    uids = [await harness.deliver(octets) for octets in mail]
    readings = dict(zip(uids, map(Reading, mail), strict=True))
    inbox = await harness.db.read(lambda rx: mailboxes.by_name(rx, harness.inbox, "INBOX"))
    assert inbox is not None
    wanted = [[uid for uid in uids if readings[uid].passes(key)] for key in asked]

    async def agrees(state: str) -> None:
        found = await harness.db.read(partial(answers, mailbox=inbox.id, uids=uids, asked=asked))
        for key, right, answer in zip(asked, wanted, found, strict=True):
            assert answer == right, (state, key)

    await agrees("nothing is made")
    builder = TextBuilder(harness.db, lambda: NOW, TextSettings(quiet=0))
    await builder._store(await harness.db.read(lambda rx: maintain.make(rx, 0, (len(uids) + 1) // 2, 1 << 30, [])))
    await agrees("half is made")
    await builder.catch_up()
    await agrees("all is made")


@pytest.fixture(autouse=True, scope="module")
def store() -> None:
    """The empty store that each harness copies; made outside of any loop."""
    template()


@pytest.fixture(params=["whole pages", "short pages", "large texts", "short pages, large texts"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Which of all needles are looked for."""
    if "short" in request.param:
        monkeypatch.setattr(texts, "SEARCH_SECONDS", -1)
        monkeypatch.setattr(texts, "SEARCH_SLICE", 3)
    if "large" in request.param:
        monkeypatch.setattr(maintain, "INLINE", 40)
    return 101 if "short" in request.param else 17


@pytest.mark.skipif(not FILES, reason="the standard library's test_email data is not installed")
def test_the_messages_of_the_email_package(tmp_path: Path, how: int) -> None:
    asyncio.run(_corpus(tmp_path, "", how))


@pytest.mark.skipif(not FILES, reason="the standard library's test_email data is not installed")
def test_the_messages_of_the_email_package_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    asyncio.run(_corpus(tmp_path, postgresql_url, 401))


async def _corpus(directory: Path, url: str, step: int) -> None:
    mail = [path.read_bytes() for path in FILES] + list(ALL.values())
    words = [word for octets in mail for word in needles(Reading(octets))]
    async with Harness(directory, url=url) as harness:
        await compare(harness, mail, keys_of(["grüße", "GRÜSSE", "ß", "\u0130", "i", *words[::step]]))


HEADERS = st.sampled_from(
    [
        "Subject: Straße =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "subject:", "SUBJECT: folded\r\n\t words",
        "Subject : blank before",
        "From: A <a@b>", "Content-Type: text/html; charset=iso-8859-1", "Content-Type: multipart/mixed; boundary=X",
        "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "no field at all",
        "X: =?utf-8?b?/w==?= Subject: not one",
    ]
)  # fmt: skip
LINES = st.sampled_from(
    ["--X", "--X--", "", "Content-Type: text/plain; charset=utf-8", "Gr=C3=BC=C3=9Fe", "R3LDvMOfZQ==", "<p>a</p><p>b",
     "Subject: in the text", "\u0131\u0130\u1e9e\ufb03", "a\xff\0b"]
)  # fmt: skip
MAIL = st.builds(
    lambda head, lines: "\r\n".join([*head, "", *lines]).encode("utf-8", "surrogateescape"),
    st.lists(HEADERS, max_size=5),
    st.lists(LINES, max_size=8),
)
WORDS = st.one_of(
    st.sampled_from(["grüße", "STRASSE", "straße", "subject", "subject: ", "a", "ffi", "i\u0307", "\ufffd", "\xff"]),
    st.text(max_size=2),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(MAIL, min_size=1, max_size=6),
    st.lists(WORDS, min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_any_mail(mail: list[bytes], words: list[str], short: bool, large: bool) -> None:
    async def run(directory: Path) -> None:
        async with Harness(directory) as harness:
            await compare(harness, mail, keys_of(words))

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if short:
            patch.setattr(texts, "SEARCH_SECONDS", -1)
            patch.setattr(texts, "SEARCH_SLICE", 2)
        if large:
            patch.setattr(maintain, "INLINE", 3)
        asyncio.run(run(Path(name)))


@pytest.mark.parametrize("edit", [lambda word: word + "\xff", lambda word: "\x00" + word])
def test_a_word_that_is_not_there_is_not_found(edit: Callable[[str], str], tmp_path: Path) -> None:
    """The test itself can fail: the plain reading finds nothing either, for the right reason."""
    reading = Reading(ALL["multi"])
    word = next(iter(needles(reading)))
    assert reading.passes(keys.Text(word))
    assert not reading.passes(keys.Text(edit(word)))
