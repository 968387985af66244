"""The reply table, the budget of slow senders, and the parts of aiosmtpd that we lean on."""

from __future__ import annotations

import inspect

import aiosmtpd.smtp
import pytest

from gateway.model import errors
from gateway.smtp.data import SlowBudget
from gateway.smtp.replies import AT_LOGIN, AT_MAIL, reply_to
from gateway.submit.errors import BadMessage, NoRoute, UnknownRecipient


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (errors.SenderNotAuthorized("x"), "550 5.7.1 Sender not authorized"),
        (errors.NoPermission("x"), "550 5.7.1"),
        (errors.TooBig("x"), "552 5.3.4"),
        (errors.OverQuota("x"), "452 4.2.2"),
        (errors.Unavailable("x"), "451 4.3.0"),
        (UnknownRecipient("x"), "550 5.1.1"),
        (NoRoute("set host"), "550 5.7.1 set host"),
        (BadMessage("two\r\nFrom {} é"), "550 5.6.0 two??From {} ?"),
    ],
)
def test_replies(error: errors.GatewayError, reply: str) -> None:
    found = reply_to(error)
    assert found is not None
    assert found.startswith(reply)
    assert found.isascii()
    assert "\n" not in found


def test_reply_tables_by_place() -> None:
    assert reply_to(errors.SenderNotAuthorized("x"), AT_MAIL) == "553 5.7.1 Sender not authorized"
    assert str(reply_to(errors.Throttled("x"), AT_LOGIN)).startswith("454")
    assert str(reply_to(errors.AuthenticationFailed("x"), AT_LOGIN)).startswith("535 5.7.8")
    assert reply_to(errors.MailboxGone("x")) is None, "what no table knows is reported as a defect"


def test_slow_budget() -> None:
    budget = SlowBudget(30.0, 100)
    budget.arrived(50, 20.0)
    assert budget.left == 10.0
    budget.arrived(50, 5.0)
    assert budget.left == 30.0, "enough arrived: a new window"
    budget.arrived(10**6, 0.0)
    assert budget.left == 30.0


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (aiosmtpd.smtp.SMTP.connection_made, ["self", "transport"]),
        (aiosmtpd.smtp.SMTP.connection_lost, ["self", "error"]),
        (aiosmtpd.smtp.SMTP.eof_received, ["self"]),
        (aiosmtpd.smtp.SMTP._handle_client, ["self"]),
        (aiosmtpd.smtp.SMTP._timeout_cb, ["self"]),
        (aiosmtpd.smtp.SMTP._reset_timeout, ["self", "duration"]),
        (aiosmtpd.smtp.SMTP._cb_client_connected, ["self", "reader", "writer"]),
        (aiosmtpd.smtp.SMTP._set_rset_state, ["self"]),
        (aiosmtpd.smtp.SMTP.push, ["self", "status"]),
    ],
)
def test_private_methods_of_aiosmtpd(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters  # type: ignore[arg-type]


def test_attributes_that_aiosmtpd_reads() -> None:
    """Our __init__ stands for theirs: what the kept methods read must be what we set."""
    kept = ["connection_made", "connection_lost", "_reset_timeout", "_set_rset_state", "_set_post_data_state",
            "_create_session", "_create_envelope", "_cb_client_connected", "__del__"]  # fmt: skip
    names: set[str] = set()
    for name in kept:
        code = getattr(aiosmtpd.smtp.SMTP, name).__code__
        names |= {attribute for attribute in code.co_names if attribute.startswith("_")}
    assert names <= {
        "_closed", "_original_transport", "_timeout_duration", "_timeout_handle", "_handler_coroutine",
        "_handle_client",
        "_reset_timeout", "_timeout_cb", "_set_rset_state", "_set_post_data_state", "_create_session",
        "_create_envelope", "_reader", "_writer",
        # only after a STARTTLS of aiosmtpd's own, which ours replaces:
        "_transport", "_buffer", "_tls_protocol", "_extra", "_handle_hooks", "_tls_handshake_okay",
    }  # fmt: skip
