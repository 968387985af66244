"""Logs: both forms, levels that a reload changes, other libraries' lines, and a canary that never gets through."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.python.failure import Failure

from gateway.auth.keys import generate
from gateway.ops import logs

CANARY = "canary-9d2b7c"
KEY = generate()


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logs.REDACTOR.hide([])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    structlog.get_logger("x").info("delivery.deferred", queue_id=7, code=451, text="grüße\nzwei")
    (event,) = lines(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "delivery.deferred", "level": "info", "queue_id": 7, "code": 451, "text": "grüße\nzwei"}


def test_for_people() -> None:
    stream = io.StringIO()
    logs.configure("info", "human", stream)
    structlog.get_logger().warning("app.stopping", seconds=3)
    assert "app.stopping" in stream.getvalue()
    assert "seconds=3" in stream.getvalue()
    assert "\x1b" not in stream.getvalue(), "no colours where no terminal is"


def test_a_reload_changes_the_level_of_loggers_that_exist() -> None:
    stream = io.StringIO()
    log = structlog.get_logger("early")
    logs.configure("warning", "json", stream)
    log.info("hidden")
    logs.configure("debug", "json", stream)
    log.debug("shown")
    assert [event["event"] for event in lines(stream)] == ["shown"]


@pytest.mark.parametrize("style", ["json", "human"])
def test_no_secret_gets_through(style: str) -> None:
    stream = io.StringIO()
    logs.configure("debug", style, stream)
    logs.REDACTOR.hide([CANARY, "", "abc"])
    log = structlog.get_logger()
    log.info("login", key=KEY.text, note=f"tried {KEY.text} twice")
    log.info(f"event with {CANARY}", nested={"a": [f"x{CANARY}x", (CANARY,)], "password": "hunter2"})
    log.info("octets", line=f"PASS {CANARY}".encode(), error=ValueError(CANARY))
    log.info("fields", password="hunter2", token="hunter2", secret="hunter2", Authorization="x")
    log.info("url", url="postgresql://me:hunter2@db/mail")
    log.bind(**{CANARY: 1}).info("a name")
    try:
        raise ValueError(f"{CANARY} {KEY.text}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("other").error("%s %s", CANARY, KEY.text)
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("other").exception("failed")
    text = stream.getvalue()
    assert CANARY not in text
    assert KEY.secret not in text
    assert "hunter2" not in text
    assert KEY.key_id in text, "a key's id stays, to follow its use"
    assert "postgresql://me:***@db/mail" in text
    assert "ValueError" in text
    assert "Traceback" in text


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_key_is_hidden_wherever_it_stands(before: str, after: str) -> None:
    assert KEY.secret not in logs.Redactor().text(before + KEY.text + after)


def test_values_keep_their_form() -> None:
    redactor = logs.Redactor()
    event = {"n": 1, "f": 1.5, "b": True, "none": None, "list": [1, "a"], "map": {"k": 2}, "password": ""}
    assert redactor(None, "info", dict(event)) == event


def test_other_libraries_write_through_us_from_warnings_on() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("mail.log").info("chatter")
    logging.getLogger("mail.log").warning("worth %s", "knowing")
    (event,) = lines(stream)
    assert (event["event"], event["level"], event["logger"]) == ("worth knowing", "warning", "mail.log")


def test_twisted_failures_come_with_their_traceback() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.REDACTOR.hide([CANARY])
    twisted = Logger(namespace="t", observer=logs.twisted_observer())  # type: ignore[arg-type]
    twisted.info("chatter")
    twisted.warn("worth {what}", what="knowing")
    try:
        raise ValueError(CANARY)
    except ValueError:
        twisted.failure("unhandled", Failure())
    first, second = lines(stream)
    assert (first["text"], first["level"], first["source"]) == ("worth knowing", "warning", "t")
    assert "ValueError" in second["exception"]
    assert CANARY not in stream.getvalue()
