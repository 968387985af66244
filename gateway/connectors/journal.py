"""What is left of a sync for people: an event with counts, EMAILIDs and the redacted transcript."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.moments import rfc3339
from gateway.store.connectors.events import EventKind, EventStatus, NewEvent

from .progress import SyncRun


def of_run(run: SyncRun, log: Sequence[tuple[float, str]], message: str | None) -> NewEvent:
    """A sync that ended well; `message`: what waits for somebody all the same."""
    return NewEvent(
        EventKind.SYNC, EventStatus.SUCCESS, message, None, run.octets, run.run, _detail(run), text_of(log)
    )


def of_failure(run: SyncRun, log: Sequence[tuple[float, str]], failure: str, message: str) -> NewEvent:
    """One that did not; `failure`: its class."""
    return NewEvent(
        EventKind.SYNC, EventStatus.FAILED, message, failure, run.octets, run.run, _detail(run), text_of(log)
    )


def of_action(action: str, log: Sequence[tuple[float, str]], failure: str, message: str) -> NewEvent:
    """What somebody did by hand and did not get; `action`: as `gateway remote` calls it.

    The kinds are SEND and SYNC, and this is none of sending.
    """
    said = f"gateway remote {action}: {message}"
    return NewEvent(EventKind.SYNC, EventStatus.FAILED, said, failure, detail={"action": action}, log=text_of(log))


def text_of(log: Sequence[tuple[float, str]]) -> str | None:
    """A line each, with its moment."""
    return "\n".join(f"{rfc3339(at)} {line}" for at, line in log) or None


def _detail(run: SyncRun) -> dict[str, object]:
    return {
        "emailSyncCount": run.imported, "emailIds": run.email_ids, "flags": run.flags, "vanished": run.vanished,
        "remapped": run.remapped, "poisoned": run.poisoned, "pushed": run.pushed, "folders": run.folders,
        "notes": run.notes,
    }  # fmt: skip
