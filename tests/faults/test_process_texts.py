"""kill -9 while the text for SEARCH is made: it goes on at the next start, and every search is right meanwhile.

`GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import end
from tests.faults.process_kit import Imap, mail, new_inbox, text_counts, until_texts
from tests.support.gateway import Gateway, running
from tests.support.soak import SOAK

KILLS = 20 if SOAK else 3
MESSAGES = 300
LARGE = b"Subject: large\r\n\r\n" + b"words and words\r\n" * 100_000 + b"the very end\r\n"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(Gateway(tmp_path / "gateway"), end) as one:
        yield one


def test_it_goes_on_after_a_kill_at_any_moment(gateway: Gateway) -> None:
    login = new_inbox(gateway, "texts@mail.test")
    octets = mail(login[0], "needle")
    sent = interrupted = 0
    for number in range(KILLS):
        with Imap(gateway, login) as client:
            client.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(LARGE), LARGE))
            append = b" APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets)
            client.send(b"".join(b"a%d" % n + append for n in range(MESSAGES)))
            client.until(b"a%d" % (MESSAGES - 1))
        sent += MESSAGES + 1
        before = text_counts(gateway)[0]
        until_texts(gateway, lambda made, due, goal=before + 70 * number: made > goal or not due)  # type: ignore[misc]
        gateway.kill()
        interrupted += text_counts(gateway)[1] > 0
        gateway.start()
        with Imap(gateway, login) as client:
            client.ok(b"SELECT INBOX")
            found = client.ok(b"SEARCH RETURN (COUNT) TEXT needle")
            assert any(line.endswith(b"COUNT %d" % (sent - number - 1)) for line in found), found
            found = client.ok(b'SEARCH RETURN (COUNT) BODY "very END"')
            assert any(line.endswith(b"COUNT %d" % (number + 1)) for line in found), found
    assert interrupted, "no kill came while there was something left to do"
    assert until_texts(gateway, lambda made, due: not due) == (sent, 0)
    with Imap(gateway, login) as client:
        client.ok(b"SELECT INBOX")
        found = client.ok(b"SEARCH RETURN (COUNT) OR SUBJECT large BODY needle")
        assert any(line.endswith(b"COUNT %d" % sent) for line in found), found
