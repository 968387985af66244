"""The trigram index in the running server: kill -9 while it is made, a file that goes or breaks, and switching it off.

`GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.store import driver
from tests.faults.conftest import end
from tests.faults.process_kit import Imap, mail, new_inbox
from tests.servers.process import wait_for
from tests.support.gateway import Gateway, running
from tests.support.soak import SOAK

KILLS = 20 if SOAK else 3
MESSAGES = 600
ON = "[search]\ntrigram = true\n"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(Gateway(tmp_path / "gateway", settings=ON), end) as one:
        yield one


def indexed(gateway: Gateway) -> int:
    """How many contents the file knows; 0 while there is none."""
    path = gateway.data_dir / "search.db"
    try:
        connection = driver.load().connect(f"file:{path}?mode=ro", uri=True)
        try:
            return sum(
                int.from_bytes(row[0], "little").bit_count() for row in connection.execute("SELECT bits FROM mark")
            )
        finally:
            connection.close()
    except driver.load().OperationalError:
        return 0


def until(reached: Callable[[], bool]) -> None:
    wait_for(reached, "the index", 60, 0.01)


def append(client: Imap, octets: bytes, count: int) -> None:
    one = b" APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets)
    client.send(b"".join(b"a%d" % n + one for n in range(count)))
    client.until(b"a%d" % (count - 1))


def counted(client: Imap, criteria: bytes) -> int:
    found = client.ok(b"SEARCH RETURN (COUNT) " + criteria)
    return next(int(line.rpartition(b"COUNT ")[2]) for line in found if b" COUNT " in line)


def right(gateway: Gateway, login: tuple[str, str], hay: int, needles: int) -> None:
    with Imap(gateway, login) as client:
        client.ok(b"SELECT INBOX")
        assert counted(client, b'BODY "needle"') == needles
        assert counted(client, b'TEXT "haystack"') == hay
        assert counted(client, b'TEXT "is nowhere"') == 0
        assert counted(client, b'NOT BODY "haystack"') == needles


def test_it_goes_on_after_a_kill_at_any_moment(gateway: Gateway) -> None:
    login = new_inbox(gateway, "trigrams@mail.test")
    hay, needle = mail(login[0], "haystack"), mail(login[0], "needle")
    interrupted = 0
    for number in range(1, KILLS + 1):
        with Imap(gateway, login) as client:
            append(client, hay, MESSAGES)
            append(client, needle, 1)
        before = indexed(gateway)
        until(lambda before=before: indexed(gateway) > before)  # type: ignore[misc]
        gateway.kill()
        interrupted += indexed(gateway) < number * (MESSAGES + 1)
        gateway.start()
        right(gateway, login, number * MESSAGES, number)
    assert interrupted, "no kill came while there was something left to do"
    until(lambda: indexed(gateway) == KILLS * (MESSAGES + 1))
    right(gateway, login, KILLS * MESSAGES, KILLS)


def test_a_broken_file_a_missing_one_and_none(gateway: Gateway) -> None:
    login = new_inbox(gateway, "trigrams@mail.test")
    path = gateway.data_dir / "search.db"
    with Imap(gateway, login) as client:
        append(client, mail(login[0], "haystack"), MESSAGES)
        append(client, mail(login[0], "needle"), 1)
    until(lambda: indexed(gateway) == MESSAGES + 1)
    right(gateway, login, MESSAGES, 1)
    for missing in (False, True):
        gateway.kill()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if missing:
            path.unlink()
        else:
            path.write_bytes(b"\xff" * 100_000)
        gateway.start()
        right(gateway, login, MESSAGES, 1)
        until(lambda: indexed(gateway) == MESSAGES + 1)
        right(gateway, login, MESSAGES, 1)
    gateway.stop()
    gateway.settings = ""
    gateway.configure()
    gateway.start()
    assert not list(gateway.data_dir.glob("search.db*"))
    right(gateway, login, MESSAGES, 1)
