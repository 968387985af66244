"""Every failure has a remedy that names what its reader can do."""

from __future__ import annotations

import pytest

from gateway.connectors.advice import Side, advise
from gateway.connectors.given import FIELDS
from gateway.connectors.presets import PRESETS
from gateway.outbound.failure import Failure


@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("side", ["imap", "smtp"])
def test_every_failure_has_advice_that_names_real_options(failure: Failure, side: Side) -> None:
    for provider in (*PRESETS, "somebody"):
        text = advise(failure, side, provider, "work")
        assert text.endswith((".", "smtp.secret=", "work", "NAME", "passwords", "204397", "15241.html", "app-password"))
        assert "{" not in text
        for word in text.replace(",", " ").replace(":", " ").split():
            section, dot, key = word.rstrip(".").partition(".")
            if dot and section in FIELDS and " " not in key and key.isidentifier():
                assert key in FIELDS[section], word


def test_the_two_sides_differ_where_their_logins_do() -> None:
    assert "smtp.secret=" in advise(Failure.LOGIN_DISABLED, "smtp", "custom")
    assert "secret" not in advise(Failure.LOGIN_DISABLED, "imap", "custom")


def test_the_provider_s_own_page_is_named_where_it_helps() -> None:
    assert "myaccount.google.com/apppasswords" in advise(Failure.AUTH_REJECTED, "imap", "google")
    assert "gateway connector login work" in advise(Failure.AUTH_REJECTED, "imap", "outlook", "work")
    assert "Set-CASMailbox" in advise(Failure.SMTP_AUTH_DISABLED, "smtp", "outlook")
    assert "Testing" in advise(Failure.AUTH_OAUTH, "imap", "google")
    assert "465" in advise(Failure.NOT_TLS, "smtp", "custom")
    assert "993" in advise(Failure.NOT_TLS, "imap", "custom")
