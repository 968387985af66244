"""Messages over the API: lists, filters, search, one message, its octets."""

from __future__ import annotations

import random
import socket

import pytest

from tests.support.gateway import HOST, Gateway

from .mail import BEGIN, LARGE, SETTINGS, Box, letter, with_files

__all__ = ["SETTINGS"]

READERS = 1  # what is looked for and made there is handed over as octets


def test_a_list_is_newest_first_over_all_mailboxes(box: Box) -> None:
    box.fill([letter(f"m{at}") for at in range(5)])
    box.fill([letter("sent")], "Sent", BEGIN + 2)
    assert box.subjects() == ["m4", "m3", "sent", "m2", "m1", "m0"]
    assert box.subjects(order="oldest") == ["m0", "m1", "m2", "sent", "m3", "m4"]
    assert box.subjects(mailbox="Sent") == ["sent"]


def test_a_long_page_says_the_same_as_short_ones(box: Box) -> None:
    """What takes long to tell is told another way."""
    box.fill([letter(f"m{at}", to=", ".join(f"a{each}@x.test" for each in range(40))) for at in range(60)])
    assert box.list(limit=200) == box.list(limit=7)
    ids = [message["id"] for message in box.list()]
    many = box.api.post(f"{box.path}/messages/batch/get", {"ids": ids})
    assert many == {"items": box.list(limit=7), "missing": []}
    threads = f"{box.path}/threads"
    assert box.api.get(f"{threads}?limit=200")["items"][:9] == box.api.get(f"{threads}?limit=9")["items"]


def test_a_message_says_what_it_is(box: Box) -> None:
    box.put(bytes(with_files()), flags="\\Seen $Work")
    [message] = box.list()
    assert message["subject"] == "Files"
    assert message["from"] == [{"name": "Ann", "address": "ann@else.test"}]
    assert (message["flags"], message["keywords"], message["unread"]) == (["\\Seen"], ["$Work"], False)
    assert message["preview"] == "Plain words"
    files = {each["file_name"]: each for each in message["attachments"]}
    assert files["große.bin"]["size"] == len(LARGE)
    assert (files["table.csv"]["media_type"], files["table.csv"]["size"]) == ("text/csv", 10)
    whole = box.api.get(f"{box.path}/messages/{message['id']}")
    assert (whole["text"], whole["html"]) == ("Plain words\r\n", "<p>Rich <b>words</b></p>\r\n")
    assert {"name": "Subject", "value": "Files"} in whole["headers"]
    assert whole["headers"][0] == {"name": "From", "value": "Ann <ann@else.test>"}


def test_filters(box: Box) -> None:
    box.put(letter("seen", to="team@mail.test"), flags="\\Seen", date=BEGIN)
    box.put(letter("flagged", cc="Team <team@mail.test>"), flags="\\Flagged $Work", date=BEGIN + 1)
    both = letter("both", "needle in the text\r\n", from_="Zoe <zoe@else.test>")
    box.put(both, "Sent", "\\Seen \\Answered", BEGIN + 2)
    assert box.subjects(unread="true") == ["flagged"]
    assert box.subjects(unread="false") == ["both", "seen"]
    assert box.subjects(flagged="true") == ["flagged"]
    assert box.subjects(answered="true", unread="false") == ["both"]
    assert box.subjects(keyword="$work") == ["flagged"]
    assert box.subjects(no_keyword="$work") == ["both", "seen"]
    assert box.subjects(keyword="$Nobody") == []
    assert box.subjects(since=BEGIN + 1) == ["both", "flagged"]
    assert box.subjects(before=BEGIN + 1) == ["seen"]
    assert box.subjects(since=BEGIN + 1, before=BEGIN + 2, order="oldest") == ["flagged"]
    assert box.subjects(from_="ZOE") == ["both"]
    assert box.subjects(to="team@") == ["flagged", "seen"]
    assert box.subjects(subject="FLAG") == ["flagged"]
    assert box.subjects(text="NEEDLE") == ["both"]
    assert box.subjects(text="zoe@else", mailbox="INBOX") == []
    [message] = box.list(subject="both")
    assert box.subjects(thread=message["thread_id"]) == ["both"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"), ("limit=x", "query.limit"), ("since=1e3", "query.since"),
        (f"before={2**70}", "query.before"), ("unread=perhaps", "query.unread"), ("text=", "query.text"),
        ("order=random", "query.order"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_named(box: Box, query: str, field: str) -> None:
    answer = box.api.ask("GET", f"{box.path}/messages?{query}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "WzEsMl0", "WyIxIiwyLCJ4Il0", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OSwxLCJ4Il0"]
)
def test_a_cursor_of_somebody_s_own_is_refused(box: Box, cursor: str) -> None:
    assert box.api.ask("GET", f"{box.path}/messages?cursor={cursor}").code == "invalid"
    assert box.api.ask("GET", f"{box.path}/threads?cursor={cursor}").code == "invalid"


def test_pages_hold_while_mail_comes_goes_and_moves(box: Box) -> None:
    """What was there all the time is told once, whatever happens between two pages; many arrive in the same second."""
    for second in range(4):
        box.fill([letter(f"{second}.{at}") for at in range(10)], begin=BEGIN + second * 3 - second)
    kept = {message["id"] for message in box.list() if str(message["subject"]).endswith(("1", "2", "3"))}
    chance = random.Random(7)
    told: list[str] = []
    cursor = ""
    while True:
        page = box.api.get(f"{box.path}/messages?limit=3{cursor}")
        told += [message["id"] for message in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        left = [message for message in box.list(limit=200) if message["id"] not in kept]
        for message in chance.sample(left, min(len(left), 2)):
            box.api.delete(f"{box.path}/messages/{message['id']}?permanent=true")
        for email_id in chance.sample(sorted(kept), 3):
            box.api.post(f"{box.path}/messages/{email_id}/move", {"mailbox": chance.choice(["Sent", "INBOX", "Spam"])})
        box.put(letter("new"), date=BEGIN + chance.randrange(12))
    assert len(told) == len(set(told))
    assert kept <= set(told)


def test_a_message_in_several_mailboxes_is_one(box: Box) -> None:
    box.put(letter("twice"))
    [message] = box.list()
    path = f"{box.path}/messages/{message['id']}"
    copied = box.api.post(f"{path}/copy", {"mailbox": "Sent"})
    assert [place["mailbox"] for place in copied["places"]] == ["INBOX", "Sent"]
    assert box.api.post(f"{path}/copy", {"mailbox": "Sent"}) == copied  # it lies there
    assert box.subjects(limit=1) == ["twice"]
    marked = box.api.patch(path, {"add": ["\\Seen", "$Work"]})
    assert [(place["flags"], place["keywords"]) for place in marked["places"]] == [(["\\Seen"], ["$Work"])] * 2
    moved = box.api.post(f"{path}/move", {"mailbox": "Spam"})
    assert [place["mailbox"] for place in moved["places"]] == ["Spam"]
    assert moved["keywords"] == ["$Work"]
    assert moved["id"] == message["id"]


def test_changes_are_seen_by_imap_and_the_reverse(box: Box) -> None:
    client = box.gateway.imap(box.address, box.key)
    box.put(letter("one"))
    client.select("INBOX")
    [message] = box.list()
    path = f"{box.path}/messages/{message['id']}"
    box.api.patch(path, {"add": ["\\Flagged", "$Api"]})
    client.noop()
    assert b"\\Flagged $Api" in client.fetch("1", "(FLAGS)")[1][0]
    client.store("1", "-FLAGS", "\\Flagged")
    client.store("1", "+FLAGS", "\\Answered")
    assert box.api.get(path)["flags"] == ["\\Answered"]
    assert box.api.patch(path, {"set": ["\\Seen"]})["keywords"] == []
    box.api.delete(path)
    client.noop()
    assert client.search(None, "ALL")[1] == [b""]
    assert [place["mailbox"] for place in box.api.get(path)["places"]] == ["Trash"]
    box.api.delete(path)
    assert [place["mailbox"] for place in box.api.get(path)["places"]] == ["Trash"]
    box.api.delete(f"{path}?permanent=true")
    assert box.api.ask("GET", path).code == "not_found"
    client.logout()


def test_a_change_may_ask_that_nothing_has_changed(box: Box) -> None:
    box.put(letter("one"))
    [message] = box.list()
    path = f"{box.path}/messages/{message['id']}"
    box.api.patch(path, {"add": ["\\Seen"]})
    late = box.api.ask("PATCH", path, {"add": ["\\Flagged"], "unchanged_since": message["modseq"]})
    assert (late.status, late.code) == (409, "conflict")
    now = box.api.get(path)
    assert now["flags"] == ["\\Seen"]
    in_time = box.api.patch(path, {"add": ["\\Flagged"], "unchanged_since": now["modseq"]})
    assert in_time["flags"] == ["\\Seen", "\\Flagged"]


@pytest.mark.parametrize(
    "body",
    [
        {"add": ["\\Recent"]}, {"add": ["two words"]}, {"add": ["x" * 256]}, {"add": [""]}, {"add": ["a\x00"]},
        {"add": ["é"]}, {"remove": ["("]}, {"set": ["{"]}, {"add": "\\Seen"}, {"unknown": 1},
        {"unchanged_since": -1}, [],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_flag_changes_nothing(box: Box, body: object) -> None:
    box.put(letter("one"))
    [message] = box.list()
    path = f"{box.path}/messages/{message['id']}"
    if isinstance(body, dict) and isinstance(body.get("add"), list):
        body = body | {"add": ["\\Seen", *body["add"]]}
    assert box.api.ask("PATCH", path, body).code == "invalid"
    assert box.api.get(path)["modseq"] == message["modseq"]


def test_many_at_once(box: Box) -> None:
    box.fill([letter(f"m{at}") for at in range(6)])
    ids = [str(message["id"]) for message in box.list()]
    path = f"{box.path}/messages/batch"
    done = box.api.post(f"{path}/flags", {"ids": [*ids[:3], "Mnobody"], "add": ["\\Seen"]})
    assert done == {"done": ids[:3], "missing": ["Mnobody"]}
    assert box.subjects(unread="true") == ["m2", "m1", "m0"]
    box.api.post(f"{path}/move", {"ids": ids[:2], "mailbox": "Sent", "source": "INBOX"})
    box.api.post(f"{path}/copy", {"ids": ids[1:3], "mailbox": "Sent"})
    assert box.subjects(mailbox="Sent") == ["m5", "m4", "m3"]
    assert box.subjects(mailbox="INBOX") == ["m3", "m2", "m1", "m0"]
    box.api.post(f"{path}/delete", {"ids": ids[3:5]})
    assert box.subjects(mailbox="Trash") == ["m2", "m1"]
    box.api.post(f"{path}/delete", {"ids": ids[:5], "permanent": True})
    assert box.subjects() == ["m0"]
    found = box.api.post(f"{path}/get", {"ids": [ids[5], ids[0]]})
    assert ([each["subject"] for each in found["items"]], found["missing"]) == (["m0"], [ids[0]])


def test_many_are_changed_as_a_whole_or_not_at_all(box: Box) -> None:
    box.fill([letter(f"m{at}") for at in range(3)])
    ids = [str(message["id"]) for message in box.list()]
    before = box.list()
    box.api.post(f"{box.path}/mailboxes", {"name": "Outbox"})
    for status, body in (
        (404, {"mailbox": "Nowhere"}), (409, {"mailbox": "Outbox"}), (409, {"mailbox": "Sent", "unchanged_since": 1}),
    ):
        assert box.api.ask("POST", f"{box.path}/messages/batch/move", {"ids": ids, **body}).status == status
    assert box.list() == before


def test_octets_come_as_they_were(box: Box) -> None:
    octets = bytes(with_files()).replace(b"\n", b"\r\n")
    box.put(octets)
    [message] = box.list()
    path = f"{box.path}/messages/{message['id']}"
    raw = box.api.ask("GET", f"{path}/raw")
    assert (raw.status, raw.body, raw.headers["content-type"]) == (200, octets, "message/rfc822")
    assert raw.headers["content-length"] == str(len(octets))
    tag = raw.headers["etag"]
    assert box.api.ask("GET", f"{path}/raw", If_None_Match=f'"x", W/{tag}').status == 304
    for asked, first, last in (("0-9", 0, 10), ("700000-", 700_000, len(octets)), ("-5", len(octets) - 5, len(octets)),
                               (f"3-{10**9}", 3, len(octets)), ("300-900", 300, 901)):
        part = box.api.ask("GET", f"{path}/raw", Range=f"bytes={asked}")
        assert (part.status, part.body) == (206, octets[first:last])
        assert part.headers["content-range"] == f"bytes {first}-{last - 1}/{len(octets)}"


def test_parts_are_decoded_and_never_shown_by_a_browser(box: Box) -> None:
    box.put(bytes(with_files()))
    [message] = box.list()
    files = {each["file_name"]: each for each in message["attachments"]}  # type: ignore[attr-defined]
    path = f"{box.path}/messages/{message['id']}/parts"
    whole = box.api.ask("GET", f"{path}/{files['große.bin']['part']}")
    assert (whole.status, whole.body) == (200, LARGE)
    assert whole.headers["content-disposition"] == (
        "attachment; filename=\"gro_e.bin\"; filename*=UTF-8''gro%C3%9Fe.bin"
    )
    assert "sandbox" in whole.headers["content-security-policy"]
    part = box.api.ask("GET", f"{path}/{files['große.bin']['part']}", Range="bytes=500000-500099")
    assert (part.status, part.body) == (206, LARGE[500_000:500_100])
    none = box.api.ask("GET", f"{path}/{files['große.bin']['part']}", Range=f"bytes={len(LARGE)}-")
    assert (none.status, none.headers["content-range"]) == (416, f"bytes */{len(LARGE)}")
    assert none.code == "range_not_satisfiable"
    for odd in ("bytes=5-1", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-"):
        assert box.api.ask("GET", f"{path}/{files['table.csv']['part']}", Range=odd).status == 200
    for number in ("9", "0", "1.1.1", "x", "1.", "-1", "1.99999999999999999999", "%00", "1" * 500):
        assert box.api.ask("GET", f"{path}/{number}").code == "not_found"


def test_a_message_is_stored_as_it_comes(box: Box) -> None:
    octets = letter("stored", "x" * 900_000 + "\r\n")
    answer = box.api.ask(
        "POST", f"{box.path}/messages?mailbox=Sent&flag=%5CSeen&flag=$Mine&date={BEGIN}", octets=octets,
        Content_Type="message/rfc822",
    )  # fmt: skip
    assert answer.status == 201
    made = answer.json
    assert (made["subject"], made["received_at"]) == ("stored", BEGIN)
    assert (made["flags"], made["keywords"]) == (["\\Seen"], ["$Mine"])
    assert box.api.ask("GET", f"{answer.headers['location']}/raw").body == octets
    assert box.subjects(mailbox="Sent") == ["stored"]


def test_what_is_refused_is_not_stored(box: Box) -> None:
    path = f"{box.path}/messages"
    box.api.post(f"{box.path}/mailboxes", {"name": "Outbox"})
    asked = [
        ("", b"", 422, "invalid"), ("", b"x" * 2_000_001, 413, "too_large"),
        ("?mailbox=Nowhere", b"x", 404, "not_found"), ("?mailbox=Outbox", b"x", 409, "conflict"),
        ("?flag=a+b", b"x", 422, "invalid"), ("?date=-1", b"x", 422, "invalid"),
    ]
    for query, octets, status, code in asked:
        answer = box.api.ask("POST", path + query, octets=octets, Content_Type="message/rfc822")
        assert (answer.status, answer.code) == (status, code)
    assert box.api.ask("POST", path, octets=b"{}", Content_Type="application/json").code == "wrong_content_type"
    assert box.list() == []


def test_a_body_that_is_cut_off_leaves_nothing(gateway: Gateway, box: Box) -> None:
    with gateway.tls().wrap_socket(socket.create_connection((HOST, gateway.web)), server_hostname=HOST) as client:
        head = f"POST {box.path}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {box.key}\r\n"
        head += "Content-Type: message/rfc822\r\nContent-Length: 1500000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 700_000)
    assert box.list() == []


def test_who_goes_away_in_the_middle_of_a_download_is_no_defect(gateway: Gateway, box: Box) -> None:
    """The gateway's log, which the fixture looks through, says nothing of it."""
    box.put(letter("large", ("x" * 76 + "\r\n") * 24_000))
    [message] = box.list()
    for path in (f"messages/{message['id']}/raw", f"messages/{message['id']}/parts/1"):
        with gateway.tls().wrap_socket(socket.create_connection((HOST, gateway.web)), server_hostname=HOST) as client:
            client.sendall(
                f"GET {box.path}/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {box.key}\r\n\r\n".encode()
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert box.subjects() == ["large"]


def test_hostile_mail_can_be_listed_and_read(box: Box) -> None:
    """Nesting without end, thousands of parts and addresses, names in every odd form."""
    level = b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n'
    nested = b"".join(level % (at, at) for at in range(300))
    parts = b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 3000
    everybody = b", ".join(b"a%d@x.test" % at for at in range(5000))
    people = b"Subject: people\r\nTo: " + everybody + b"\r\n\r\nx\r\n"
    names = (
        b"Subject: =?utf-8?q?a=00b=0D=0A?= \xff\xfe\r\nFrom: =?x?q?<b>?= <\"a b\"@x>, group: c@d;, <>\r\n"
        b"Content-Type: a/b; name*=utf-8''%00%0A..%2Fx; name*1=\"y\r\n z\"\r\n"
        b"Content-Disposition: attachment; filename=\"\xe4\\\"\"\r\n\r\n\x00"
    )
    for octets in (b"Subject: nested\r\n" + nested, parts, people, names, b"\r\n", b"x", b"\r\n\r\n\r\n"):
        answer = box.api.ask("POST", f"{box.path}/messages", octets=octets, Content_Type="message/rfc822")
        assert answer.status == 201, answer.body
        found = box.api.get(f"{box.path}/messages/{answer.json['id']}")
        assert not {"\n", "\x00"} & set("".join(str(each["file_name"]) for each in found["attachments"]))
        for attachment in found["attachments"][:3]:
            path = f"{box.path}/messages/{found['id']}/parts/{attachment['part']}"
            assert box.api.ask("GET", path).status == 200
    assert len(box.list()) == 7
    assert [len(message["to"]) for message in box.list(subject="people")] == [100]  # type: ignore[arg-type]
