"""How connectors look to people: whatever the store has of one, lists of all are shown."""

from __future__ import annotations

import json
from typing import Any

from gateway.connectors.telling import NEVER
from gateway.control.operations.connectors import _row
from gateway.model.ids import InboxId, PodId
from gateway.store.connectors.rows import ConnectorId, ConnectorRow, ConnectorState

POD, INBOX = PodId(1), InboxId(2)


def shown(options: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": ConnectorId(3), "uuid": "u", "pod_id": POD, "inbox_id": INBOX, "name": "work", "address": "me@b.test",
        "provider": "custom", "enabled": True, "mode": "pull", "interval_s": 300, "state": ConnectorState.NEW,
        "reason": None, "failure": None, "state_since": 5, "failures": 0, "not_before": 0, "sync_asked_at": None,
        "last_sync_at": None, "last_success_at": None, "node_id": None, "epoch": 0, "version": 1, "created_at": 5,
        "updated_at": 5, "grant_id": None, "imap_secret": None, "smtp_secret": None, "options": json.dumps(options),
    } | changes  # fmt: skip
    return _row(ConnectorRow(**values), {POD: "default"}, {INBOX: "me@mail.test"})


READ = {"imap": {"host": "imap.b.test"}}
SENT = {"imap": {"enabled": False}, "smtp": {"host": "smtp.b.test"}}


def test_one_that_is_not_tried_again_has_no_next_try() -> None:
    assert shown(READ, not_before=NEVER)["next_try"] is None
    assert shown(READ)["next_try"] is None
    assert shown(READ, not_before=60)["next_try"] == "1970-01-01T00:01:00Z"


def test_one_that_only_sends_is_not_new_for_ever() -> None:
    assert shown(SENT)["state"] == "sends"
    assert shown(READ)["state"] == "new"
    assert shown(SENT, enabled=False)["state"] == "disabled"
    assert shown({"imap": {"host": "a b"}}, state=ConnectorState.BACKOFF)["state"] == "backoff", "refused today"


def test_an_import_that_has_ended_is_done() -> None:
    assert shown(READ, enabled=False, mode="import", state=ConnectorState.DONE)["state"] == "done"
    assert shown(READ, enabled=False, mode="import", state=ConnectorState.LIVE)["state"] == "disabled"


def test_what_fails_has_a_remedy() -> None:
    state = ConnectorState.BACKOFF
    assert "spelling of imap.host" in shown(READ, state=state, failure="dns")["advice"]
    login = shown({}, state=ConnectorState.AUTH_FAILED, failure="auth_oauth", provider="google")
    assert "gateway connector login work" in login["advice"]
    assert shown(READ, state=state, failure="options")["advice"] is None
    assert shown(READ, enabled=False, failure="dns")["advice"] is None
    assert shown(READ)["advice"] is None
