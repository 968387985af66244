"""Testing a connection step by step, as `gateway connector test` and whoever sets up an account see it.

One connection a side (`probe_imap`, `probe_smtp`), made as the sync and the queue make theirs. The first step that
fails ends the test, with its class and what can be done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from gateway.outbound.dial import Resolver
from gateway.outbound.failure import Failure
from gateway.outbound.tls_peer import TlsFacts

from .advice import Side, advise

_ENCRYPTING: Final = frozenset({Failure.TLS_VERIFY, Failure.TLS_VERSION, Failure.NOT_TLS, Failure.NO_STARTTLS})
_GREETING: Final = frozenset({
    Failure.BYE, Failure.PROTOCOL, Failure.LIMIT, Failure.UNAVAILABLE, Failure.THROTTLED, Failure.REFUSED_COMMAND,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step: dns, connect, tls, greeting, login, … `ms`: what it took; 0 where it is part of the one before."""

    name: str
    ok: bool
    ms: int
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {'ok' if self.ok else 'failed'} ({self.ms} ms) {self.text}".rstrip()


Tell = Callable[[Side, Step], None]
"""Hears of each step as soon as it is done."""


def to_nobody(side: Side, step: Step) -> None:
    pass


@dataclass(slots=True)
class Probe:
    """What a test has found. `success`: every step went well; `failure` and `advice` say why not and what helps.

    `message`: one sentence; `logs`: the steps, then the dialogue without secrets.
    """

    side: Side
    tell: Tell = to_nobody
    steps: list[Step] = field(default_factory=list)
    failure: Failure | None = None
    message: str = ""
    advice: str = ""
    said: str = ""
    dialogue: list[str] = field(default_factory=list)

    @property
    def success(self) -> bool:
        return self.failure is None

    @property
    def logs(self) -> list[str]:
        return [*(str(step) for step in self.steps), *self.dialogue]


class Watch:
    """Adds steps to a probe, with the time since the last one."""

    def __init__(self, probe: Probe, clock: Callable[[], float]) -> None:
        self._probe = probe
        self._clock = clock
        self._began = clock()

    def done(self, name: str, text: str = "", *, ok: bool = True, timed: bool = True) -> None:
        now = self._clock()
        spent = round((now - self._began) * 1000) if timed else 0
        step = Step(name, ok, spent, text)
        self._probe.steps.append(step)
        self._began = now
        self._probe.tell(self._probe.side, step)

    def resolver(self, resolver: Resolver) -> Resolver:
        """The same, and the first look-up is a step."""

        async def timed(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
            found = await resolver(host, port)
            if found and not self._probe.steps:
                self.done("dns", f"{host} is {', '.join(dict.fromkeys(address for _, (address, _) in found))}")
            return found

        return timed

    def connected(self, where: str, tls: TlsFacts | None, greeting: str) -> None:
        self.done("connect", where)
        self.done("tls", tls_text(tls), timed=False)
        self.done("greeting", greeting, timed=False)

    def failed(self, step: str, failure: Failure, message: str, said: str, provider: str, name: str) -> None:
        """The end of the test. While connecting the class tells the step, for one call does them all."""
        probe = self._probe
        if step == "connect":
            step = "dns" if failure is Failure.DNS else "tls" if failure in _ENCRYPTING else step
            step = "greeting" if failure in _GREETING else step
        self.done(step, message, ok=False)
        probe.failure, probe.message, probe.said = failure, message, said
        probe.advice = advise(failure, probe.side, provider, name)


def tls_text(tls: TlsFacts | None) -> str:
    if tls is None:
        return "none: all is readable on the way"
    days = (tls.not_after - datetime.now(UTC)).days
    return f"{tls.version}, {tls.cipher}, {tls.subject}, until {tls.not_after:%Y-%m-%d} ({days} days), by {tls.issuer}"


def without_login(side: Side, failure: Failure, message: str, provider: str, name: str) -> Probe:
    """The test of an account that nobody can log in to: there is no access token for it."""
    return untried(side, "token", failure, message, provider, name)


def untried(side: Side, step: str, failure: Failure, message: str, provider: str, name: str) -> Probe:
    """A test that ended at `step`, before anything was asked of the server."""
    probe = Probe(side)
    Watch(probe, lambda: 0.0).failed(step, failure, message, "", provider, name)
    return probe
