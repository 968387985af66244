"""Webhooks that AgentMail's SDK makes: told as theirs are, to receivers that verify by Svix's library."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from agentmail.events import DomainVerifiedEvent, MessageDeliveredEvent, MessageReceivedEvent, MessageSentEvent
from svix.webhooks import Webhook, WebhookVerificationError

from tests.support.api import Api
from tests.support.gateway import Gateway

from .agentmail_clients import Clients, Pair, put
from .mail import letter
from .receiver import Delivery, Receiver
from .test_webhooks import gateway as gateway
from .test_webhooks import path as path
from .test_webhooks import receiver as receiver


def verified(told: Delivery, secret: str) -> Any:
    """As Svix's receivers do it: WebhookVerificationError for what is not ours."""
    Webhook(secret).verify(told.body, told.headers)
    return told.event


def test_received_mail(gateway: Gateway, pair: Pair, receiver: Receiver, path: str) -> None:
    client, inbox, _ = pair
    hook = client.inboxes.webhooks.create(inbox, url=receiver.url(path), event_types=[], headers={"X-Team": "a"})
    assert hook.event_types is None
    put(gateway, inbox, letter("Unwanted"), "Spam")  # told to nobody who did not ask for it
    put(gateway, inbox, letter("Invoice", "The zebra is paid\r\n", from_="Zoo <zoo@else.test>"))
    told = receiver.next()
    assert told.path == path
    assert told.headers["x-team"] == "a"
    assert not any(name.startswith("webhook-") for name in told.headers)
    event = MessageReceivedEvent.model_validate(verified(told, hook.secret))
    assert (event.type, event.event_type, event.event_id) == ("event", "message.received", told.headers["svix-id"])
    assert event.message == client.inboxes.messages.get(inbox, event.message.message_id)
    assert (event.message.subject, event.message.text) == ("Invoice", "The zebra is paid\r\n")
    assert event.thread == next(iter(client.inboxes.threads.list(inbox).threads))
    with pytest.raises(WebhookVerificationError):
        verified(Delivery(path, told.headers, told.body.replace(b"zebra", b"horse")), hook.secret)


def test_spam_and_what_a_list_keeps_away(gateway: Gateway, pair: Pair, receiver: Receiver, path: str) -> None:
    client, inbox, _ = pair
    types = ["message.received.spam", "message.received.blocked"]
    hook = client.webhooks.create(url=receiver.url(path), event_types=types, inbox_ids=[inbox])
    assert hook.event_types is not None
    assert sorted(hook.event_types) == sorted(types)
    client.inboxes.lists.create(inbox, "receive", "block", entry="bad.test")
    put(gateway, inbox, letter("Fine"))
    for sender in ("a@else.test", "a@bad.test"):
        put(gateway, inbox, letter("Junk", from_=sender), "Spam")
    told = [MessageReceivedEvent.model_validate(verified(receiver.next(), hook.secret)) for _ in range(2)]
    assert [(each.event_type, each.message.from_, each.message.labels) for each in told] == [
        ("message.received.spam", "a@else.test", ["received", "spam", "unread"]),
        ("message.received.blocked", "a@bad.test", ["received", "spam", "unread"]),
    ]


def test_sent_mail(pair: Pair, receiver: Receiver, path: str, api: Callable[..., Api]) -> None:
    client, inbox, other = pair
    hook = client.webhooks.create(
        url=receiver.url(path), event_types=["message.sent", "message.delivered"], inbox_ids=[inbox]
    )
    sent = client.inboxes.messages.send(inbox, to=[other], subject="Plan", text="x")
    first, second = (verified(each, hook.secret) for each in receiver.some(2))
    send = MessageSentEvent.model_validate(first).send
    delivery = MessageDeliveredEvent.model_validate(second).delivery
    for each in (send, delivery):
        assert (each.message_id, each.thread_id, each.inbox_id, each.recipients) == (
            sent.message_id, sent.thread_id, inbox, [other],
        )
    # Told again by our own API, in the same words.
    replay = f"/api/v1/webhooks/{hook.webhook_id}/replay"
    api().post(replay, {"inbox": inbox, "event": first["event_id"]})
    assert verified(receiver.next(), hook.secret) == first
    shown = api().get(f"/api/v1/webhooks/{hook.webhook_id}")
    assert (shown["dialect"], shown["types"]) == ("agentmail", ["message.delivered", "message.sent"])
    changed = client.webhooks.update(hook.webhook_id, event_types=["message.bounced"])
    assert changed.event_types == ["message.bounced"]
    assert api().ask("PATCH", f"/api/v1/webhooks/{hook.webhook_id}", {"types": ["message.flags"]}).status == 422


def test_a_verified_domain(sdk: Clients, receiver: Receiver, path: str) -> None:
    client = sdk()
    hook = client.webhooks.create(url=receiver.url(path), event_types=["domain.verified"])
    client.webhooks.create(url=receiver.url(path), event_types=["message.bounced"])
    domain = client.domains.create(domain="shop.test", feedback_enabled=False)
    client.domains.verify(domain.domain_id)
    first, second = (DomainVerifiedEvent.model_validate(verified(each, hook.secret)) for each in receiver.some(2))
    assert first.event_id != second.event_id
    assert first.domain == second.domain == client.domains.get(domain.domain_id)
    client.webhooks.delete(hook.webhook_id)


def test_our_own_keep_our_words(
    gateway: Gateway, pair: Pair, receiver: Receiver, path: str, api: Callable[..., Api]
) -> None:
    client, inbox, _ = pair
    made = api().post("/api/v1/webhooks", {"url": receiver.url(path), "inbox": inbox, "types": ["message.received"]})
    assert made["dialect"] == "native"
    shown = client.webhooks.get(made["id"])
    assert shown.event_types == ["message.received"]
    client.webhooks.update(made["id"], event_types=["message.received.spam", "message.sent"])
    assert api().get(f"/api/v1/webhooks/{made['id']}")["types"] == ["message.received", "message.sent"]
    put(gateway, inbox, letter("Ours"))
    told = receiver.next()
    assert told.signed_by(made["secret"])
    assert json.loads(told.body)["type"] == "message.received"
    wrong = {"url": receiver.url(path), "dialect": "agentmail", "types": ["message.flags"]}
    assert api().ask("POST", "/api/v1/webhooks", wrong).status == 422
