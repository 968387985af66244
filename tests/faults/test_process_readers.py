"""Reader processes of the real server: killed while they work, and gone when the server is."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from tests.faults.process_kit import Imap, mail, new_inbox
from tests.support.gateway import Gateway

MESSAGES = 600  # more than a page


def children(pid: int) -> list[int]:
    """Process ids of the children of `pid`."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # one a thread: whichever has started the process
    return [int(word) for each in lists for word in each.read_text().split()]


def test_a_killed_reader_costs_no_answer(gateway: Gateway) -> None:
    login = new_inbox(gateway, "readers@mail.test")
    with Imap(gateway, login) as client:
        octets = mail(login[0], "needle")
        client.send(b"".join(b"a%d APPEND INBOX {%d+}\r\n%b\r\n" % (n, len(octets), octets) for n in range(MESSAGES)))
        client.until(b"a%d" % (MESSAGES - 1))
        client.ok(b"SELECT INBOX")
        assert gateway.process is not None
        wanted = client.ok(b"FETCH 1:* (UID ENVELOPE)")
        found = client.ok(b"SEARCH TEXT needle")
        assert len([line for line in wanted if line.startswith(b"* ")]) == MESSAGES
        assert children(gateway.process.pid)
        for _ in range(3):  # later rounds may find fewer: a lost one comes back after a second or two
            for pid in children(gateway.process.pid):
                client.send(b"f1 FETCH 1:* (UID ENVELOPE)\r\ns1 SEARCH TEXT needle\r\n")
                os.kill(pid, signal.SIGKILL)
                assert client.until(b"f1")[:-1] == wanted[:-1]
                assert client.until(b"s1")[:-1] == found[:-1]


def test_readers_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    one = Gateway(tmp_path / "gateway")
    one.init()
    one.start()
    assert one.process is not None
    readers = [os.pidfd_open(pid) for pid in children(one.process.pid)]
    assert readers
    one.process.kill()
    one.process.wait()
    try:
        for reader in readers:
            assert _ended(reader)
    finally:
        for reader in readers:
            os.close(reader)


def _ended(pidfd: int) -> bool:
    """Whether the process ends within half a minute."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(30_000))
