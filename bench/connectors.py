"""`python -m bench.connectors`: an account of 10,000 messages at a Dovecot, brought here and by two other programs.

mbsync and offlineimap (where it is installed) write Maildirs; the gateway fills its store, parsed, threaded and
searchable. Measured: the first import and a sync in which nothing has changed, each with the client's CPU and the CPU
that it costs Dovecot; how long new mail upstream takes until a client here that idles hears of it; and the memory of
1,000 accounts that are connected and idle over TLS, at a scripted server.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.process import cpu_seconds, memory_bytes, wait_for
from tests.servers.tls import make_certificates
from tests.support.gateway import Gateway
from tests.support.upstream.process import UpstreamProcess

from .client import Account, Imap
from .corpus import messages
from .report import replace_between

BEGIN, END = "<!-- connectors: begin -->", "<!-- connectors: end -->"
USER: Final = "everybody"
PUSHES: Final = 40
IDLE_ACCOUNTS: Final = 1_000
STEADY_S: Final = 5.0
"""Memory is read once it has not moved for so long: what starting left behind is collected meanwhile."""
_MBSYNC: Final = """
IMAPAccount account
Host localhost
Port {port}
User {user}
Pass {secret}
SSLType IMAPS
CertificateFile {ca}
AuthMechs LOGIN

IMAPStore far
Account account

MaildirStore near
Path {place}/mail/
Inbox {place}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState *
"""
_OFFLINEIMAP: Final = """
[general]
accounts = account
metadata = {place}/state
maxsyncaccounts = 1
ui = quiet
[Account account]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {place}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = {secret}
ssl = yes
sslcacertfile = {ca}
readonly = True
"""


@dataclass(frozen=True)
class Run:
    """Seconds: of the clock, of the client's processors, of Dovecot's."""

    wall: float
    cpu: float
    server: float


def _peer(dovecot: Dovecot, command: list[str]) -> Run:
    before, server = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(dovecot.process.pid)
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, cpu_seconds(dovecot.process.pid) - server)


def _ours(dovecot: Dovecot, gateway: Gateway, work: Callable[[], object]) -> Run:
    assert gateway.process is not None
    pid = gateway.process.pid
    before, server, start = cpu_seconds(pid), cpu_seconds(dovecot.process.pid), time.perf_counter()
    work()
    wall = time.perf_counter() - start
    return Run(wall, cpu_seconds(pid) - before, cpu_seconds(dovecot.process.pid) - server)


def _configured(place: Path, text: str, dovecot: Dovecot) -> Path:
    place.mkdir()
    (place / "mail").mkdir()
    file = place / "settings"
    file.write_text(
        text.format(port=dovecot.imaps, user=USER, secret=dovecot.password, ca=dovecot.ca, place=place)
    )
    file.chmod(0o600)
    return file


def _fetched(place: Path) -> int:
    return sum(1 for path in (place / "mail").rglob("*") if path.is_file() and path.parent.name in ("cur", "new"))


def _peers(directory: Path, dovecot: Dovecot, count: int) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for name, text, command in (
        ("mbsync", _MBSYNC, ["mbsync", "-q", "-a", "-c"]),
        ("offlineimap", _OFFLINEIMAP, ["offlineimap", "-o", "-c"]),
    ):
        if shutil.which(command[0]) is None:
            print(f"{name} is not installed: left out")
            continue
        place = directory / name
        file = _configured(place, text, dovecot)
        found[name] = [_peer(dovecot, [*command, str(file)]) for _ in range(2)]
        assert _fetched(place) == count, f"{name} brought {_fetched(place)} messages"
    return found


def _connect(gateway: Gateway, dovecot: Dovecot) -> None:
    gateway.operate(
        "connector.add", name="account", address=f"{USER}@elsewhere.test", inbox=gateway.address, enabled=False,
        options={
            "imap": {"host": "localhost", "port": dovecot.imaps, "ca": dovecot.ca.read_text(), "user": USER,
                     "secret": dovecot.password, "allow_private": True},
        },
    )  # fmt: skip
    gateway.operate("connector.enable", name="account")


def _push_ms(gateway: Gateway, dovecot: Dovecot) -> float:
    """Median milliseconds from the OK of an APPEND upstream to EXISTS in an IDLE here."""
    there = Imap(Account(dovecot.imaps, dovecot.ca, USER, dovecot.password))
    here = Imap(Account(gateway.imaps, gateway.ca_file, gateway.address, gateway.key))
    here.command("SELECT INBOX")
    tag = here.idle()
    taken = []
    for octets in messages(PUSHES):
        there.append("INBOX", octets)
        start = time.perf_counter()
        while b" EXISTS" not in here.wire.line():
            pass
        taken.append(time.perf_counter() - start)
    here.wire.sock.sendall(b"DONE\r\n")
    here.finish(tag)
    for connection in (there, here):
        connection.logout()
    return statistics.median(taken) * 1e3


@contextmanager
def _gateway(directory: Path) -> Iterator[Gateway]:
    gateway = Gateway(directory, hostname="bench.test")
    gateway.init()
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


@dataclass(frozen=True)
class Idle:
    """KiB of each account. Of those that start: seconds, and milliseconds of a client's NOOP meanwhile, sorted."""

    kib: float
    started: int
    seconds: float
    noops: list[float]

    def percentile(self, share: float) -> float:
        return self.noops[min(len(self.noops) - 1, int(share * len(self.noops)))]


class _Noops:
    """A client of another inbox that asks every few milliseconds."""

    def __init__(self, gateway: Gateway) -> None:
        self.taken: list[float] = []
        self._end = threading.Event()
        self._imap = Imap(Account(gateway.imaps, gateway.ca_file, gateway.address, gateway.key))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            start = time.perf_counter()
            self._imap.command("NOOP")
            self.taken.append((time.perf_counter() - start) * 1e3)

    def stop(self) -> list[float]:
        self._end.set()
        self._thread.join()
        self._imap.logout()
        return sorted(self.taken)


def _idle(directory: Path, accounts: int) -> Idle:
    """KiB of the gateway's memory for each account that is connected over TLS and idle.

    From the first quarter of them on: what syncing loads and keeps for all of them is no account's.
    """
    ca, cert, key = make_certificates(directory)
    both = directory / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    with (
        UpstreamProcess("--accounts", str(accounts), "--messages", "3", "--tls", str(both)) as upstream,
        _gateway(directory / "many") as gateway,
    ):
        assert gateway.process is not None
        pid, pem = gateway.process.pid, ca.read_text()
        for number in range(accounts):
            user = "user@upstream.test" if number == 0 else f"user{number + 1}@upstream.test"
            gateway.operate(
                "connector.add", name=f"c{number}", address=user, enabled=False,
                options={"imap": {"host": "localhost", "port": upstream.port, "ca": pem, "secret": "secret",
                                  "allow_private": True}},
            )  # fmt: skip
        def live(first: int, last: int) -> tuple[int, float]:
            """Memory with so many, and the seconds that it took until they were live."""
            start = time.perf_counter()
            for number in range(first, last):
                gateway.operate("connector.enable", name=f"c{number}")

            def all_live() -> bool:
                states = [row["state"] for row in gateway.operate("connector.list")]
                return states.count("live") == last

            wait_for(all_live, "all accounts", 600, 2)
            took = time.perf_counter() - start
            return _steady(pid), took

        quarter, rest = accounts // 4, accounts - accounts // 4
        base, _ = live(0, quarter)
        noops = _Noops(gateway)
        grown, took = live(quarter, accounts)
        return Idle((grown - base) / rest / 1024, rest, took, noops.stop())


def _steady(pid: int) -> int:
    """Its memory, where two readings STEADY_S apart differ by less than 1 %."""
    readings = [memory_bytes(pid)]

    def still() -> bool:
        readings.append(memory_bytes(pid))
        return len(readings) > 2 and abs(readings[-1] - readings[-2]) * 100 < readings[-1]

    wait_for(still, "memory that stands still", 120, STEADY_S)
    return readings[-1]


def _table(runs: dict[str, list[Run]], count: int, push: float, accounts: int, idle: Idle | None) -> str:
    lines = [
        f"| {count:,} messages over TLS | wall s | client CPU s | Dovecot CPU s |", "|---|---|---|---|",
        *(
            f"| {what}, {name} | {run.wall:.2f} | {run.cpu:.2f} | {run.server:.2f} |"
            for number, what in enumerate(("first import", "nothing has changed"))
            for name, both in runs.items() for run in [both[number]]
        ),
        "",
        f"New mail upstream is told to a client here that idles {push:.0f} ms after upstream has taken it"
        f" (median of {PUSHES}).",
    ]  # fmt: skip
    if idle:
        lines.append(f"{accounts:,} accounts, each connected over TLS and in IDLE: {idle.kib:.0f} KiB each.")
        lines.append(
            f"{idle.started:,} of them, all of one host, start in {idle.seconds:.0f} s; a client's NOOP meanwhile takes"
            f" {idle.percentile(0.5):.1f} ms (median), {idle.percentile(0.99):.1f} ms (99 of 100)."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.connectors", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=IDLE_ACCOUNTS, help="idle accounts; 0: none")
    parser.add_argument("--write", type=Path, help="write the table into this Markdown file, between its marks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        dovecot = start_dovecot(directory / "dovecot")
        try:
            there = Imap(Account(dovecot.imaps, dovecot.ca, USER, dovecot.password))
            there.append_many("INBOX", messages(options.messages))
            there.logout()
            runs = _peers(directory, dovecot, options.messages)
            with _gateway(directory / "one") as gateway:
                def first() -> None:
                    _connect(gateway, dovecot)
                    done = gateway.operate("connector.sync", name="account")
                    assert done["success"], done

                def again() -> None:
                    done = gateway.operate("connector.sync", name="account")
                    assert done["success"], done
                    assert done["imported"] == 0, done

                runs["gateway"] = [_ours(dovecot, gateway, first), _ours(dovecot, gateway, again)]
                push = _push_ms(gateway, dovecot)
        finally:
            dovecot.stop()
        idle = _idle(directory, options.idle) if options.idle else None
    table = _table(runs, options.messages, push, options.idle, idle)
    print(table)
    if options.write:
        replace_between(options.write, BEGIN, END, table)


if __name__ == "__main__":
    main()
