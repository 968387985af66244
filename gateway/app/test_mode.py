"""`gateway serve --test-mode`, for people who test their own mail code: any address is an inbox, and nothing leaves.

It cannot come about by mistake: only the command line asks for it, no file and no variable. It works on a data
directory of its own, which it marks, and opens no other one; whoever serves mail in earnest refuses a marked one. The
log and each SMTP greeting say what it is.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.config import Config, Listener, MetricsServer
from gateway.model.errors import ConfigError
from gateway.model.permissions import ALL_PERMISSIONS, ScopeKind
from gateway.ops.sockets import bind_tcp
from gateway.outbound import dial
from gateway.store.db import Database

from .datadir import CONTROL_SOCKET, TEST_MARK, prepare
from .settings import ca_file

log = structlog.get_logger(__name__)

NOTICE: Final = "TEST MODE: any address is an inbox, nothing leaves"
LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 256
_PORTS: Final = (
    ("imaps", "imap", "tls", 1993),
    ("imap", "imap", "starttls", 1143),
    ("smtps", "submission", "tls", 1465),
    ("smtp", "submission", "starttls", 1587),
)
"""Name, kind, security, port. The two with STARTTLS take logins without TLS too: they are on this machine only."""
_WEB: Final = ("web", "web", "tls", 8443)
_MARK_TEXT: Final = "Made by gateway serve --test-mode. No other server opens this directory.\n"


@dataclass(slots=True)
class TestMode:
    """One run. `key` opens everything and is drawn at the start; `sockets` are bound already, so that no two runs take
    the same free port."""

    config: Config
    ports: dict[str, int]
    sockets: dict[str, list[socket.socket]] = field(default_factory=dict)
    as_json: bool = False
    key: str = field(default="", repr=False)

    def begin(self) -> None:
        """Before anything is opened: from here on nothing is dialled and no name is looked up."""
        dial.close(NOTICE)
        log.warning("app.test_mode", what=NOTICE, data_dir=str(self.config.store.data_dir))

    async def make_key(self, db: Database, now: int) -> None:
        """The key of this run."""
        drawn = await issue.draw(db)
        spec = KeySpec("test mode", ScopeKind.ALL, ALL_PERMISSIONS)
        await db.write(lambda tx: issue.insert(tx, spec, drawn, now))
        self.key = drawn.key.text

    def announcement(self) -> str:
        """One line of JSON: all that a program needs which has started this one."""
        data_dir = self.config.store.data_dir.absolute()
        return json.dumps({
            "test_mode": True, "host": "localhost", "ports": self.ports, "key": self.key,
            "ca_file": str(ca_file(self.config)), "data_dir": str(data_dir), "control": str(data_dir / CONTROL_SOCKET),
        })  # fmt: skip

    def text(self) -> str:
        """The same for people."""
        lines = ["", NOTICE, "", f"  {'User name':12} any address", f"  {'Password':12} {self.key}"]
        lines += [f"  {name.upper():12} localhost port {port}" for name, port in self.ports.items()]
        lines += [f"  {'CA to trust':12} {ca_file(self.config)}", ""]
        return "\n".join(lines)


@contextmanager
def prepared(
    given: Config | None, data_dir: Path | None, *, free_ports: bool, web: bool, as_json: bool = False
) -> Iterator[TestMode]:
    """What `Process` serves with. A directory that was not given is gone afterwards.

    `given`: of a configuration file that the command line named; its store, routes, accounts and listeners do not
    count. ConfigError: `data_dir` holds something that test mode has not made; a port is taken.
    """
    base = Config() if given is None else given
    made = None
    if data_dir is None:
        shm = Path("/dev/shm")  # noqa: S108 - memory; mkdtemp makes a directory that is only ours
        made = Path(tempfile.mkdtemp(prefix="gateway-test-", dir=shm if shm.is_dir() and _writable(shm) else None))
    try:
        place = data_dir or made
        assert place is not None
        mark(place)
        with _listening(free_ports, web) as (listeners, sockets):
            config = _configured(base, place, listeners)
            yield TestMode(config, {listener.socket: listener.port for listener in listeners}, sockets, as_json)
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _writable(directory: Path) -> bool:
    try:
        tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return False
    return True


def mark(data_dir: Path) -> None:
    """ConfigError: the directory has something in it that test mode has not made."""
    path = prepare(data_dir) / TEST_MARK
    if not path.exists() and any(data_dir.iterdir()):
        raise ConfigError(
            f"--data-dir: {data_dir} was not made by test mode, which would take any login there; name a directory that"
            " is empty or not there yet"
        )
    path.write_text(_MARK_TEXT)


@contextmanager
def _listening(free_ports: bool, web: bool) -> Iterator[tuple[list[Listener], dict[str, list[socket.socket]]]]:
    bound: dict[str, socket.socket] = {}
    listeners = []
    try:
        for name, kind, security, port in (*_PORTS, *((_WEB,) if web else ())):
            try:
                sock = bound[name] = bind_tcp(LOOPBACK, 0 if free_ports else port, _BACKLOG)
            except OSError:
                raise ConfigError(f"{LOOPBACK} port {port} is taken; --free-ports takes others") from None
            listeners.append(_listener(name, kind, security, sock.getsockname()[1]))
        yield listeners, {name: [sock] for name, sock in bound.items()}
    finally:
        for sock in bound.values():
            sock.close()


def _listener(name: str, kind: str, security: str, port: int) -> Listener:
    made = Listener(
        kind="imap" if kind == "imap" else "web" if kind == "web" else "submission", address=LOOPBACK, port=port,
        security="tls" if security == "tls" else "starttls", socket=name,
    )  # fmt: skip
    return made if security == "tls" else replace(made, allow_plaintext=True)


def _configured(base: Config, data_dir: Path, listeners: Sequence[Listener]) -> Config:
    """All settings that have to do with others are those of nobody."""
    plain = Config()
    return replace(
        base,
        listener=tuple(listeners),
        store=replace(plain.store, data_dir=data_dir, reader_processes=0),
        relay=plain.relay, relays=(), route=(), connectors=plain.connectors,
        metrics=MetricsServer(enabled=False),
        # Whoever tests sends the same mail again, and means it.
        limits=replace(base.limits, same_mail=0),
        log=base.log if base.log != plain.log else replace(plain.log, level="warning"),
    )  # fmt: skip
