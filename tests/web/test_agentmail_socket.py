"""AgentMail's WebSocket by their asynchronous client, which uses a connection from one thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agentmail import AsyncAgentMail
from agentmail.core.api_error import ApiError
from agentmail.environment import AgentMailEnvironment
from agentmail.websockets import Subscribe, Subscribed

from tests.support.api import Api
from tests.support.gateway import HOST, Gateway

from .agentmail_clients import SETTINGS as SETTINGS
from .agentmail_clients import Pair, new_inbox, put
from .conftest import admin_key
from .mail import letter

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")


@pytest.fixture
def trusted(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(gateway.ca_file))


@asynccontextmanager
async def connected(gateway: Gateway, key: str | None, query: str | None = None) -> AsyncIterator[Any]:
    """With a key in a field of the request, or in its address."""
    base = f"{HOST}:{gateway.web}/agentmail"
    place = AgentMailEnvironment(http=f"https://{base}", websockets=f"wss://{base}")
    client = AsyncAgentMail(api_key=key or (lambda: None), environment=place)  # type: ignore[arg-type,return-value]
    async with client.websockets.connect(api_key=query) as socket:
        yield socket


async def subscribed(socket: Any, **asked: Any) -> Any:
    await socket.send_subscribe(Subscribe(**asked))
    answer = await socket.recv()
    assert isinstance(answer, Subscribed), answer
    return answer


def test_events_of_inboxes_pods_and_everything(gateway: Gateway, trusted: None, pair: Pair) -> None:
    client, inbox, other = pair
    away = asyncio.to_thread
    names = ["message.received", "message.received.spam"]

    def made() -> tuple[str, str]:
        pod = client.pods.create(name="sockets").pod_id
        client.pods.domains.create(pod, domain="sockets.test", feedback_enabled=False)
        return pod, new_inbox(client, "sockets.test")

    async def talk() -> None:
        async with connected(gateway, admin_key(gateway)) as socket:
            said = await subscribed(socket, inbox_ids=[inbox], event_types=names)
            assert (said.inbox_ids, said.event_types) == ([inbox], names)
            await away(put, gateway, other, letter("Elsewhere"))
            await away(put, gateway, inbox, letter("Here"))
            event = await socket.recv()
            assert (event.event_type, event.message.subject) == ("message.received", "Here")
            assert event.thread.message_count == 1
            assert event.message == await away(client.inboxes.messages.get, inbox, event.message.message_id)
            await away(put, gateway, inbox, letter("Junk"), "Spam")
            assert (await socket.recv()).event_type == "message.received.spam"
            # All inboxes, later ones too; what two subscriptions ask for is told once.
            await subscribed(socket)
            await away(put, gateway, inbox, letter("Once"))
            assert (await socket.recv()).message.subject == "Once"
            pod, later = await away(made)
            async with connected(gateway, admin_key(gateway)) as second:
                await subscribed(second, pod_ids=[pod], event_types=["message.sent"])
                await away(lambda: client.inboxes.messages.send(later, to=[inbox], subject="New", text="x"))
                event = await second.recv()
                assert (event.event_type, event.send.inbox_id) == ("message.sent", later)
                assert event.send.recipients == [inbox]
            told = {(await socket.recv()).event_type for _ in range(3)}
            assert told == {"message.sent", "message.delivered", "message.received"}

    asyncio.run(talk())


def test_what_cannot_be_subscribed(gateway: Gateway, trusted: None, pair: Pair, api: Callable[..., Api]) -> None:
    _, inbox, other = pair
    key = api().post("/api/v1/keys", {"inbox": inbox, "name": "one"})

    async def talk() -> None:
        async with connected(gateway, key["key"]) as socket:
            for asked, name in (
                ({"inbox_ids": [other]}, "NotFoundError"), ({"pod_ids": ["x"]}, "NotFoundError"),
                ({"event_types": ["message.flags"]}, "ValidationError"),
                ({"event_types": ["message.opened"]}, "ValidationError"),
            ):
                await socket.send_subscribe(Subscribe(**asked))
                answer = await socket.recv()
                assert (answer.type, answer.name) == ("error", name)
            for text in ("", "[]", "{}", '{"type": "sing"}', '{"type": "subscribe", "inbox_ids": "x"}'):
                await socket._websocket.send(text)
                assert (await socket.recv()).name == "ValidationError"
            await subscribed(socket, inbox_ids=[inbox])
            api().delete(f"/api/v1/keys/{key['id']}")
            assert (await socket.recv()).name == "UnauthorizedError"

    asyncio.run(talk())


def test_a_key_in_the_address_and_none(gateway: Gateway, trusted: None, pair: Pair) -> None:
    _, inbox, _ = pair

    async def talk() -> None:
        async with connected(gateway, None, admin_key(gateway)) as socket:
            await subscribed(socket, inbox_ids=[inbox])
        for key, query in (("am_wrong", None), (None, "am_wrong"), (None, None)):
            with pytest.raises(ApiError) as error:
                async with connected(gateway, key, query):
                    pass
            assert error.value.status_code == 401

    asyncio.run(talk())
    assert admin_key(gateway) not in gateway.log_file.read_text()
