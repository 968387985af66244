"""Messages over the API: lists, filters, search, one message, its octets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.support.api import Api
from tests.support.gateway import Gateway

from .mail import BEGIN, LARGE, Box, letter, with_files

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
[limits]
max_message_size = 2000000
"""
Make = Callable[..., Api]
_NUMBERS = count(1)


@pytest.fixture
def box(gateway: Gateway, api: Make) -> Box:
    address, key = gateway.inbox(f"box{next(_NUMBERS)}@mail.test")
    return Box(gateway, address, key, api(key))


def test_a_list_is_newest_first_over_all_mailboxes(box: Box) -> None:
    box.fill([letter(f"m{at}") for at in range(5)])
    box.fill([letter("sent")], "Sent", BEGIN + 2)
    assert box.subjects() == ["m4", "m3", "sent", "m2", "m1", "m0"]
    assert box.subjects(order="oldest") == ["m0", "m1", "m2", "sent", "m3", "m4"]
    assert box.subjects(mailbox="Sent") == ["sent"]


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
