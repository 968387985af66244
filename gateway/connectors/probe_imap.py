"""Testing where mail is read. Nothing is changed: INBOX is opened by EXAMINE."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.failure import Failure
from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapEndpoint
from gateway.upstream.errors import UpstreamError
from gateway.upstream.transcript import Transcript
from gateway.upstream.values import ListedMailbox

from .plan import roles
from .plan.filters import FolderFilter
from .probe import Probe, Tell, Watch, to_nobody

INBOX: Final = b"INBOX"
ALL: Final = FolderFilter()
TRANSCRIPT_LINES: Final = 500


async def probe_imap(
    endpoint: ImapEndpoint,
    *,
    provider: str,
    name: str,
    wanted: FolderFilter = ALL,
    resolver: Resolver = system_resolver,
    clock: Callable[[], float] = time.monotonic,
    tell: Tell = to_nobody,
) -> Probe:
    """Test where mail is read, and of which folders. Raises nothing that the server does."""
    probe = Probe("imap", tell)
    watch = Watch(probe, clock)
    transcript = Transcript(TRANSCRIPT_LINES)
    client: ImapClient | None = None
    step = "connect"
    try:
        client = await ImapClient.open(endpoint, resolver=watch.resolver(resolver), transcript=transcript)
        watch.connected(f"{endpoint.host} port {endpoint.port}", client.tls_info, client.greeting)
        step = "login"
        await client.log_in()
        watch.done("login", f"as {endpoint.login.user}{f' by {client.login_by}' if client.login_by else ''}")
        watch.done("capabilities", " ".join(sorted(client.capabilities)), timed=False)
        step = "list"
        listed = await client.list_mailboxes()
        watch.done("list", _folders(listed))
        if wanted != ALL:
            step = "folders"
            watch.done("folders", _chosen(listed, wanted), timed=False)
        step = "select"
        selected = await client.select(INBOX, read_only=True)
        modseq = "none" if selected.highest_modseq is None else str(selected.highest_modseq)
        text = f"INBOX: {selected.exists} messages, UIDVALIDITY {selected.uidvalidity}, HIGHESTMODSEQ {modseq}"
        watch.done("select", text)
        watch.done("push", "IDLE" if client.has("IDLE") else "none: it is looked at in intervals", timed=False)
        probe.message = f"Logged in at {endpoint.host} as {endpoint.login.user}"
    except UpstreamError as error:
        watch.failed(step, error.failure, str(error), error.said, provider, name)
    finally:
        if client is not None:
            await client.log_out()
    probe.dialogue = [line for _, line in transcript.lines()]
    return probe


def _chosen(listed: list[ListedMailbox], wanted: FolderFilter) -> str:
    """How many folders are read, and which entries fit none. UpstreamError: all of them, so that nothing is read."""
    role_of = {raw: role for role, raw in roles.resolve(listed).by.items()}

    chooses = wanted.chooser()
    idle = wanted.idle((folder, role_of.get(folder.raw)) for folder in listed)
    lost = f"; nothing fits {', '.join(idle)}" if idle else ""
    if not (count := sum(chooses(folder, role_of.get(folder.raw)) for folder in listed)):
        raise UpstreamError(Failure.FOLDER_MISSING, f"No folder is left to read of {len(listed)}{lost}")
    return f"{count} of {len(listed)}{lost}"


def _folders(listed: list[ListedMailbox]) -> str:
    found = roles.resolve(listed)
    names = {folder.raw: folder.name for folder in listed}
    shown = ", ".join(f"{role.removeprefix(chr(92))} is {names[raw]}" for role, raw in sorted(found.by.items()))
    return f"{len(listed)} folders" + (f": {shown}" if shown else "")
