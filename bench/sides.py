"""The servers that a run needs: what is measured, and what beside it. What no row asks for is not started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.servers.dovecot import start_dovecot
from tests.servers.postfix import start_postfix

from . import queue, web_hooks, web_listeners
from .client import Account, Imap
from .corpus import messages
from .gateway import Running, start_gateway
from .lmtp import Place
from .measure import Row, Side, imap_of
from .rows import make_folders

MESSAGES = 10_000
Sides = tuple[Side, Side | None]
_DOVECOT = frozenset({"imap", "relaxed", "lmtp"})
_OWN = frozenset({"queue", "listeners", "hooks"})
"""Rows with servers of their own."""


def sides(root: Path, stack: ExitStack, rows: Sequence[Row], *, busy: bool) -> dict[str, Sides]:
    """(the gateway, its peer) by the protocols of `rows`. `busy`: mailboxes are searched in any case."""
    wanted = {row.protocol for row in rows}
    found: dict[str, Sides] = {}
    if wanted - _OWN:
        _common(root, stack, wanted, found, full=busy or bool(wanted - {"smtp", "lmtp"} - _OWN))
    if "queue" in wanted:
        found["queue"] = queue.sides(root, stack)
    if "listeners" in wanted:
        found["listeners"] = web_listeners.sides(root, stack)
    if "hooks" in wanted:
        found["hooks"] = web_hooks.side(root, stack), None
    return found


def _common(root: Path, stack: ExitStack, wanted: set[str], found: dict[str, Sides], *, full: bool) -> None:
    """The gateway whose inbox is filled, if it is to be `full`, and the servers beside it."""
    gateway = start_gateway(root / "gateway")
    stack.callback(gateway.stop)
    ours = _of(gateway)
    if full:
        _fill(ours)
        print(f"gateway: text for SEARCH made {gateway.settle():.1f} s later", flush=True)
    if wanted & _DOVECOT:
        dovecot = start_dovecot(root / "dovecot")
        stack.callback(dovecot.stop)
        peer = Side(
            "Dovecot", dovecot.process.pid, Account(dovecot.imaps, dovecot.ca, "bench", dovecot.password),
            lmtp=Place(dovecot.lmtp, gateway.lmtp.recipients),
        )
        if full:
            _fill(peer)
        found["imap"] = found["lmtp"] = ours, peer
        if "relaxed" in wanted:
            lenient = start_gateway(root / "relaxed", GATEWAY_STORE__FLAG_SYNC="50")
            stack.callback(lenient.stop)
            relaxed = Side("gateway", lenient.process.pid, lenient.imap)
            fill_inbox(relaxed)
            found["relaxed"] = relaxed, peer
    if "smtp" in wanted:
        postfix = start_postfix(root / "postfix", "relayhost = [127.0.0.1]:1\ndefer_transports = smtp\n")
        stack.callback(postfix.stop)
        found["smtp"] = ours, Side("Postfix", postfix.process.pid, None, Account(postfix.smtps, postfix.ca, "", ""))
    found["http"] = _of(gateway, web=True), _of(gateway, "own IMAP or SMTP")
    found["beside"] = _of(gateway, web=True), _of(gateway, "alone")


def _of(running: Running, name: str = "gateway", *, web: bool = False) -> Side:
    return Side(
        name, running.process.pid, running.imap, running.smtp, running.imap.user.encode(), lmtp=running.lmtp,
        web=running.web if web else None,
    )


def fill_inbox(side: Side) -> None:
    connection = Imap(imap_of(side))
    connection.append_many("INBOX", messages(MESSAGES))
    connection.logout()


def _fill(side: Side) -> None:
    start = time.perf_counter()
    fill_inbox(side)
    connection = Imap(imap_of(side))
    for mailbox in ("Trash", "Drafts"):  # made on first use: not while eight connections write to it
        connection.append_many(mailbox, messages(1))
    make_folders(connection)
    connection.logout()
    print(f"{side.name}: {MESSAGES} messages appended in {time.perf_counter() - start:.1f} s", flush=True)
