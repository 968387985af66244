"""What is measured: each row runs the same steps on one side and returns a rate or a time, and the server's CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable

from tests.servers.process import cpu_seconds, memory_bytes

from . import changes, lmtp, queue, web_beside, web_hooks, web_listeners, web_reads
from .client import Imap, Smtp
from .corpus import fresh, large, message
from .measure import Row, Sample, Side, imap_of, in_threads, on_selected, smtp_of, timed
from .texts import HEADER_FIELDS

FOLDERS = 1_000
LIST = 'LIST "" *'
STATUS = "MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ"


def login(side: Side) -> Sample:
    def work() -> None:
        for _ in range(150):
            Imap(imap_of(side)).logout()

    return timed(side, 150, work)


def append_durable(side: Side) -> Sample:
    connections = [Imap(imap_of(side)) for _ in range(8)]
    mail = [message(n) for n in range(800)]

    def one(number: int) -> None:
        for octets in mail[number::8]:
            connections[number].append("Trash", octets)

    sample = timed(side, 800, lambda: in_threads(8, one))
    for connection in connections:
        connection.logout()
    return sample


def select(side: Side) -> Sample:
    return on_selected(side, 300, lambda _: "SELECT INBOX", unit=1e3)


def noop(side: Side) -> Sample:
    return on_selected(side, 4000, lambda _: "NOOP")


def status_of_one(side: Side) -> Sample:
    return on_selected(side, 2000, lambda n: f"STATUS many/folder-0{n % 900 // 10:02}5 ({STATUS})")


def small_body(side: Side) -> Sample:
    return on_selected(side, 1500, lambda n: f"UID FETCH {1 + n * 7 % 9000} (UID BODY.PEEK[])")


def fetch_all(items: str, rounds: int) -> Callable[[Side], Sample]:
    def run(side: Side) -> Sample:
        sample = on_selected(side, rounds, lambda _: f"FETCH 1:10000 {items}")
        assert sample.cpu_us is not None
        return Sample(sample.value * 10_000, sample.cpu_us / 10_000)

    return run


def found_in(criteria: str, rounds: int) -> Callable[[Side], Sample]:
    """Milliseconds of one SEARCH, SORT or THREAD over the 10,000 messages."""

    def run(side: Side) -> Sample:
        return on_selected(side, rounds, lambda _: criteria, unit=1e3)

    return run


def unseen_since(side: Side) -> Sample:
    """The same with half of the messages seen."""
    connection = Imap(imap_of(side))
    connection.command("SELECT INBOX")
    connection.command("STORE 1:5000 +FLAGS.SILENT (\\Seen)")
    sample = on_selected(side, 40, lambda _: "SEARCH UNSEEN SINCE 1-Jan-2020", unit=1e3)
    connection.command("STORE 1:5000 -FLAGS.SILENT (\\Seen)")
    connection.logout()
    return sample


def make_folders(connection: Imap) -> None:
    """A thousand folders, a tenth of them below another one, a third subscribed."""
    for number in range(FOLDERS):
        name = f"many/folder-{number:04}" if number % 10 else f"many/folder-{number:04}/below"
        connection.command(f"CREATE {name}")
        if number % 3 == 0:
            connection.command(f"SUBSCRIBE {name}")


def list_after_change(side: Side) -> Sample:
    """LIST of all folders when the tree has just changed: what was kept of an earlier answer is of no use."""
    connection = Imap(imap_of(side))
    connection.command(LIST)
    wall = cpu = 0.0
    rounds = 30
    for number in range(rounds):
        connection.command(f"{'UN' * (number % 2)}SUBSCRIBE many/folder-0001")
        sample = timed(side, 1, lambda: connection.command(LIST), rate=False, unit=1e3)
        wall += sample.value
        cpu += sample.cpu_us or 0.0
    connection.logout()
    return Sample(wall / rounds, cpu / rounds)


def bodies(side: Side) -> Sample:
    connection = Imap(imap_of(side))
    connection.command("SELECT INBOX")
    got = [connection.command("FETCH 1:2000 BODY.PEEK[]")]

    def work() -> None:
        for _ in range(3):
            got.append(connection.command("FETCH 1:2000 BODY.PEEK[]"))

    sample = timed(side, 1, work)
    connection.logout()
    megabytes = sum(got[1:]) / 1e6
    assert sample.cpu_us is not None
    return Sample(sample.value * megabytes, sample.cpu_us / megabytes)


def idle_latency(side: Side) -> Sample:
    """From the start of an APPEND by one connection to EXISTS at another that idles; milliseconds, median of 40."""
    watcher, writer = Imap(imap_of(side)), Imap(imap_of(side))
    watcher.command("SELECT Drafts")
    watcher.idle()
    taken = []
    before = cpu_seconds(side.pid)
    for number in range(40):
        octets = message(number, 2048)
        start = time.perf_counter()
        writer.append("Drafts", octets)
        while b"EXISTS" not in watcher.wire.line():
            pass
        taken.append(time.perf_counter() - start)
    cpu = (cpu_seconds(side.pid) - before) * 1e6 / 40
    watcher.wire.sock.sendall(b"DONE\r\n")
    watcher.wire.close()
    writer.logout()
    return Sample(statistics.median(taken) * 1e3, cpu)


def idle_memory(side: Side) -> Sample:
    """KiB of proportional set size that each of 1,000 idling connections adds."""
    first = Imap(imap_of(side))
    first.command("SELECT INBOX")
    base = memory_bytes(side.pid)
    held = []
    for _ in range(1000):
        connection = Imap(imap_of(side))
        connection.command("SELECT INBOX")
        connection.idle()
        held.append(connection)
    used = memory_bytes(side.pid) - base
    for connection in [first, *held]:
        connection.wire.close()
    return Sample(used / 1000 / 1024, None)


def submissions(side: Side) -> Sample:
    connections = [Smtp(smtp_of(side)) for _ in range(20)]
    mail = [fresh(message(n, 8192, sender=side.sender.decode())) for n in range(1000)]

    def one(number: int) -> None:
        for octets in mail[number::20]:
            connections[number].submit(side.sender, side.recipient, octets)

    sample = timed(side, 1000, lambda: in_threads(20, one))
    for connection in connections:
        connection.quit()
    return sample


def large_submissions(submit: Callable[[Smtp, bytes, bytes, bytes], None]) -> Callable[[Side], Sample]:
    def run(side: Side) -> Sample:
        octets = large(9_600_000, sender=side.sender.decode())
        mail = [fresh(octets) for _ in range(5)]
        connection = Smtp(smtp_of(side))
        submit(connection, side.sender, side.recipient, mail[4])

        def work() -> None:
            for each in mail[:4]:
                submit(connection, side.sender, side.recipient, each)

        sample = timed(side, 4, work)
        connection.quit()
        megabytes = len(octets) / 1e6
        assert sample.cpu_us is not None
        return Sample(sample.value * megabytes, sample.cpu_us / megabytes)

    return run


ROWS: Iterable[Row] = (
    Row("connect + TLS + LOGIN + LOGOUT", "/s", True, login),
    Row("durable APPEND, 4 KB, 8 connections", "/s", True, append_durable),
    Row("SELECT of 10,000 messages", "ms", False, select),
    Row("NOOP", "/s", True, noop),
    Row("one small body a command", "/s", True, small_body),
    Row("FETCH FLAGS of 10,000", "msg/s", True, fetch_all("(UID FLAGS)", 10)),
    Row("FETCH ENVELOPE of 10,000", "msg/s", True, fetch_all("(UID ENVELOPE)", 4)),
    Row("FETCH BODYSTRUCTURE of 10,000", "msg/s", True, fetch_all("(UID BODYSTRUCTURE)", 4)),
    Row(
        "FETCH a mail client's header fields of 10,000", "msg/s", True,
        fetch_all(f"(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({HEADER_FIELDS})])", 4),
    ),
    Row("FETCH whole bodies", "MB/s", True, bodies),
    Row("SEARCH TEXT rare word in 10,000", "ms", False, found_in("SEARCH TEXT quicksilver", 10)),
    Row("SEARCH BODY common word in 10,000", "ms", False, found_in("SEARCH BODY meeting", 10)),
    Row("SEARCH SUBJECT in 10,000", "ms", False, found_in('SEARCH SUBJECT "budget holiday"', 20)),
    Row("SEARCH FROM in 10,000", "ms", False, found_in("SEARCH FROM sender42@example", 20)),
    Row("SEARCH UNSEEN SINCE in 10,000", "ms", False, unseen_since),
    Row("SORT by date of 10,000", "ms", False, found_in("SORT (REVERSE DATE) UTF-8 ALL", 20)),
    Row("SORT by subject of 10,000", "ms", False, found_in("SORT (SUBJECT DATE) UTF-8 ALL", 20)),
    Row("THREAD=REFERENCES of 10,000", "ms", False, found_in("THREAD REFERENCES UTF-8 ALL", 20)),
    Row("LIST of 1,000 folders", "ms", False, found_in(LIST, 100)),
    Row("LIST of 1,000 folders, one changed", "ms", False, list_after_change),
    Row("LIST with STATUS of 1,000 folders", "ms", False, found_in(f"{LIST} RETURN (STATUS ({STATUS}))", 30)),
    Row("STATUS of one", "/s", True, status_of_one),
    *changes.ROWS,
    *lmtp.ROWS,
    *queue.ROWS,
    Row("delivery to IDLE push", "ms", False, idle_latency),
    Row("memory an idle connection at 1,000", "KiB", False, idle_memory),
    Row("durable submission, 8 KB, 20 connections", "/s", True, submissions, "smtp"),
    Row("submission of 9.6 MB", "MB/s", True, large_submissions(Smtp.submit), "smtp"),
    Row("submission of 9.6 MB by BDAT", "MB/s", True, large_submissions(Smtp.submit_chunk), "smtp"),
    *web_reads.ROWS,
    *web_beside.ROWS,
    *web_hooks.ROWS,
    *web_listeners.ROWS,
)
