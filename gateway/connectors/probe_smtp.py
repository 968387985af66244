"""Testing where mail is sent. No mail is: MAIL is taken back by RSET."""

from __future__ import annotations

import time
from collections.abc import Callable

import aiosmtplib

from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.smtp_opening import Opened, TransportFailed, opened
from gateway.outbound.verdict import Stage, Verdict, clean, of_reply

from .probe import Probe, Tell, Watch, to_nobody


async def probe_smtp(
    endpoint: Endpoint,
    *,
    sender: str,
    provider: str,
    name: str,
    resolver: Resolver = system_resolver,
    clock: Callable[[], float] = time.monotonic,
    tell: Tell = to_nobody,
) -> Probe:
    """Test the server, the login, and whether it takes mail from `sender`. Raises nothing that the server does."""
    probe = Probe("smtp", tell)
    watch = Watch(probe, clock)
    try:
        ready = await opened(endpoint, resolver=watch.resolver(resolver))
    except TransportFailed as error:
        outcome = error.outcome
        failure = outcome.failure or Failure.LOST
        step = "login" if outcome.verdict is Verdict.LOGIN else "connect"
        if outcome.code is not None and outcome.code < 0:  # the library's for a line that is no reply
            watch.failed(step, Failure.PROTOCOL, "No SMTP server answers on this port", outcome.text, provider, name)
            return probe
        said = f"{outcome.code} {outcome.text}" if outcome.code is not None else ""
        watch.failed(step, failure, outcome.text, said, provider, name)
        return probe
    try:
        await _look_at(ready, endpoint, sender, probe, watch, provider, name)
    finally:
        ready.client.close()
    return probe


async def _look_at(
    ready: Opened, endpoint: Endpoint, sender: str, probe: Probe, watch: Watch, provider: str, name: str
) -> None:
    client, patience = ready.client, endpoint.timeouts.greeting
    watch.connected(f"{endpoint.host} port {endpoint.port}", ready.tls, ready.greeting)
    hello = client.last_ehlo_response
    if hello is not None:
        probe.dialogue += [f"S: {hello.code} {clean(line)}" for line in hello.message.split("\n")]
    if endpoint.login is not None:
        how = f" by {ready.mechanism.upper()}" if ready.mechanism is not None else ""
        watch.done("login", f"as {endpoint.login.user}{how}", timed=False)
    watch.done("size", client.esmtp_extensions.get("size") or "no limit said", timed=False)
    try:
        # An address that needs SMTPUTF8 is the sender's in this test only where the server offers it.
        command = b"FROM:<%b>" % sender.encode("utf-8")
        reply = await client.execute_command(b"MAIL", command, timeout=patience)
        probe.dialogue += [f"C: MAIL FROM:<{sender}>", f"S: {reply.code} {clean(reply.message)}"]
        if reply.code // 100 != 2:
            outcome = of_reply(Stage.MAIL, reply.code, reply.message)
            failure = outcome.failure or Failure.REFUSED_COMMAND
            watch.failed("sender", failure, f"The server takes no mail from {sender}: {outcome.text}",
                         f"{reply.code} {outcome.text}", provider, name)
            return
        await client.execute_command(b"RSET", timeout=patience)
        await client.quit(timeout=endpoint.timeouts.quit)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        failure = Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.LOST
        watch.failed("sender", failure, "The server closed the connection or fell silent", "", provider, name)
        return
    watch.done("sender", f"{sender} may send")
    probe.message = f"{endpoint.host} takes mail from {sender}"
