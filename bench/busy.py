"""A session that keeps its server busy, in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from .client import Account, Imap

SEARCH = "SEARCH BODY nothing-like-this"


def _burn(account: Account, begun: Event, command: str) -> None:
    connection = Imap(account)
    connection.command("SELECT INBOX")
    begun.set()
    while True:
        connection.command(command)


@contextmanager
def busy_beside(account: Account, command: str = SEARCH) -> Iterator[None]:
    """Run `command` on INBOX without end as long as the context lasts."""
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=_burn, args=(account, begun, command), daemon=True)
    process.start()
    if not begun.wait(60):
        raise RuntimeError("the busy session could not log in")
    try:
        yield
    finally:
        process.terminate()
        process.join()
