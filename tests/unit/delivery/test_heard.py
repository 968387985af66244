"""What an attempt says about the server as a whole, for its breaker."""

from __future__ import annotations

import pytest

from gateway.delivery.policy import Heard, heard
from gateway.outbound.verdict import Outcome, Stage, Verdict, of_loss, of_reply, refused_here

SENT = of_reply(Stage.FINAL_DOT, 250, "2.0.0 ok")
GREETED = Outcome(Verdict.TEMPORARY, Stage.CONNECT, 421, "4.3.2", "busy")


@pytest.mark.parametrize(
    ("outcomes", "what"),
    [
        ([SENT], Heard.ANSWER),
        ([of_reply(Stage.RCPT, 550, "5.1.1 no"), of_reply(Stage.RCPT, 450, "4.2.1 no")], Heard.ANSWER),
        ([of_reply(Stage.DATA, 451, "4.3.0 later")], Heard.ANSWER),
        ([SENT, of_loss(Stage.FINAL_DOT, "lost")], Heard.ANSWER),
        ([of_loss(Stage.CONNECT, "refused")], Heard.NO_CONNECTION),
        ([GREETED, GREETED], Heard.NO_CONNECTION),
        ([Outcome(Verdict.LOGIN, Stage.CONNECT, 535, "5.7.8", "wrong")], Heard.LOGIN_REFUSED),
        ([of_reply(Stage.MAIL, 530, "5.7.0 log in")], Heard.LOGIN_REFUSED),
        ([of_loss(Stage.MAIL, "timed out")], Heard.LOST),
        ([of_loss(Stage.FINAL_DOT, "timed out")], Heard.LOST),
        ([of_reply(Stage.MAIL, 421, "4.3.2 going down")], Heard.LOST),
        ([refused_here(Stage.MAIL, 552, "5.3.4", "too large")], Heard.ANSWER),
        ([Outcome(Verdict.TEMPORARY, Stage.BODY, None, "4.3.0", "our own store")], Heard.NOTHING),
        ([Outcome(Verdict.HELD, Stage.ROUTE, None, None, "held")], Heard.NOTHING),
    ],
)
def test_heard(outcomes: list[Outcome], what: Heard) -> None:
    assert heard(outcomes) is what
