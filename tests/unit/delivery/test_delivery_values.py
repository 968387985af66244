"""When to try again, and what an outcome makes of a row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.policy import Decision, decide
from gateway.delivery.schedule import Schedule, delay, next_attempt
from gateway.outbound.verdict import Outcome, Stage, Verdict, of_loss, of_reply

NOW = 1_800_000_000
PLAN = Schedule(first=60, longest=14_400, lifetime=432_000)


def test_delays_double_to_the_longest() -> None:
    assert [delay(PLAN, attempts, 0.5) for attempts in (1, 2, 3, 9, 10, 1000)] == [60, 120, 240, 14_400, 14_400, 14_400]
    assert delay(PLAN, 0, 0.5) == 60
    assert delay(PLAN, 1, 0.0) == 48
    assert delay(PLAN, 1, 1.0) == 72


@given(st.integers(1, 10_000), st.integers(0, 500_000), st.floats(0, 1))
def test_next_attempt_is_later_and_within_its_life(attempts: int, age: int, chance: float) -> None:
    at = next_attempt(PLAN, attempts=attempts, created_at=NOW - age, now=NOW, chance=chance)
    if age >= PLAN.lifetime:
        assert at is None
    else:
        assert at is not None
        assert NOW < at <= NOW - age + PLAN.lifetime


def decided(outcome: Outcome, *, progress: bool = False, policy: str = "resend", age: int = 0) -> Decision:
    return decide(
        outcome, attempts=0, created_at=NOW - age, now=NOW, schedule=PLAN,
        unknown_outcome=policy, progress=progress, chance=0.5,  # type: ignore[arg-type]
    )  # fmt: skip


def test_decisions() -> None:
    assert decided(of_reply(Stage.FINAL_DOT, 250, "2.0.0 ok")) == Decision("sent", 250, "2.0.0", "ok")
    assert decided(of_reply(Stage.RCPT, 550, "5.1.1 no")) == Decision("bounced", 550, "5.1.1", "no")
    assert decided(of_reply(Stage.RCPT, 450, "4.2.1 no")) == Decision("deferred", 450, "4.2.1", "no", NOW + 60)
    assert decided(of_reply(Stage.MAIL, 535, "5.7.8 no")).state == "deferred", "our login is no fault of the mail"
    lost = of_loss(Stage.FINAL_DOT, "lost")
    assert decided(lost).next_attempt == NOW + 60
    assert decided(lost, policy="hold").state == "held"
    assert decided(of_loss(Stage.BODY, "lost"), policy="hold").state == "deferred"
    full = of_reply(Stage.RCPT, 452, "4.5.3 too many")
    assert decided(full, progress=True).next_attempt == NOW
    assert decided(full, progress=False).next_attempt == NOW + 60, "without progress it would spin"
    old = decided(of_reply(Stage.RCPT, 450, "4.2.1 no"), age=432_000)
    assert (old.state, old.enhanced) == ("bounced", "4.4.7")
    assert "5 days" in old.text


def test_verdicts_all_have_a_decision() -> None:
    for verdict in Verdict:
        made = decided(Outcome(verdict, Stage.FINAL_DOT, 500, None, "x"))
        assert (made.next_attempt is not None) == (made.state == "deferred")
