"""AgentMail's SDK on drafts, keys, lists, pods, domains: what each may, and what lies out of its scope."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from agentmail.api_keys import ApiKeyPermissions, CreateBearerApiKeyRequest
from agentmail.core.api_error import ApiError
from agentmail.errors import NotFoundError, ValidationError
from agentmail.inboxes import CreateInboxRequest

from tests.support.gateway import Gateway

from .agentmail_clients import NUMBERS, Clients, Pair, fetched, new_inbox, put, selected
from .agentmail_clients import SETTINGS as SETTINGS
from .mail import letter


def test_a_draft_from_its_making_to_its_sending(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    drafts = client.inboxes.drafts
    first = drafts.create(
        inbox, to=[other], subject="Plan", text="One", labels=["mine"], client_id="plan",
        attachments=[{"filename": "a.txt", "content": base64.b64encode(b"aa").decode()}],
    )
    assert (first.labels, first.client_id, first.send_status) == (["draft", "mine"], "plan", None)
    assert drafts.create(inbox, to=[other], text="Another", client_id="plan").draft_id == first.draft_id
    with selected(gateway, inbox, "Drafts") as imap:
        assert imap.search(None, "KEYWORD", "mine")[1] == [b"1"]
    assert first.attachments is not None
    place = drafts.get_attachment(inbox, first.draft_id, first.attachments[0].attachment_id)
    assert fetched(gateway, place.download_url).content == b"aa"
    changed = drafts.update(
        inbox, first.draft_id, text="Two", add_labels=["hot"], remove_labels=["mine"],
        remove_attachments=[first.attachments[0].attachment_id],
        add_attachments=[{"filename": "b.txt", "content": base64.b64encode(b"bb").decode()}],
    )
    assert changed.draft_id == first.draft_id
    assert (changed.text, changed.subject, changed.to, changed.labels) == ("Two", "Plan", [other], ["draft", "hot"])
    assert changed.attachments is not None
    assert [each.filename for each in changed.attachments] == ["b.txt"]
    assert [each.draft_id for each in drafts.list(inbox, labels=["hot"]).drafts] == [first.draft_id]
    assert drafts.list(inbox, labels=["mine"]).drafts == []
    assert first.draft_id in {each.draft_id for each in client.drafts.list().drafts}
    assert client.drafts.get(first.draft_id).inbox_id == inbox
    sent = drafts.send(inbox, first.draft_id, add_labels=["out"], idempotency_key="d1")
    assert drafts.send(inbox, first.draft_id, add_labels=["out"], idempotency_key="d1") == sent
    assert client.inboxes.messages.get(inbox, sent.message_id).labels == ["sent", "hot", "out"]
    assert [each.subject for each in client.inboxes.messages.list(other).messages] == ["Plan"]
    with pytest.raises(NotFoundError):
        drafts.get(inbox, first.draft_id)


def test_a_draft_for_later(pair: Pair) -> None:
    client, inbox, other = pair
    drafts = client.inboxes.drafts
    when = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    made = drafts.create(inbox, to=[other], subject="Later", text="x", send_at=when)
    assert (made.send_status, made.send_at, made.labels) == ("scheduled", when, ["draft", "scheduled"])
    moved = drafts.update(inbox, made.draft_id, send_at=when + timedelta(hours=1))
    assert moved.send_at == when + timedelta(hours=1)
    assert drafts.update(inbox, made.draft_id, subject="Much later").send_at == when + timedelta(hours=1)
    assert drafts.update(inbox, made.draft_id, send_at=None).send_status is None
    drafts.delete(inbox, made.draft_id)
    assert drafts.list(inbox).drafts == []
    with pytest.raises(ApiError, match="send_at"):
        drafts.create(inbox, to=[other], text="x", send_at=when - timedelta(days=1))


def test_drafts_that_answer_and_forward(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    client.inboxes.messages.send(other, to=inbox, subject="Question", text="Well?")
    (message,) = client.inboxes.messages.list(inbox).messages
    answer = client.inboxes.drafts.create(inbox, in_reply_to=message.message_id, text="Yes")
    assert (answer.to, answer.subject, answer.in_reply_to) == ([other], "Re: Question", message.message_id)
    passed = client.inboxes.drafts.create(inbox, forward_of=message.message_id, to=[other], text="See")
    assert (passed.subject, passed.forward_of, passed.in_reply_to) == ("Fwd: Question", message.message_id, None)
    sent = client.inboxes.drafts.send(inbox, answer.draft_id)
    assert sent.thread_id == message.thread_id
    with pytest.raises(ApiError, match="at most one"):
        client.inboxes.drafts.create(inbox, in_reply_to=message.message_id, forward_of=message.message_id)


@pytest.fixture
def tenants(sdk: Clients) -> tuple[Any, Any, Any]:
    """The owner's client, and two pods, each with a client of its own, an inbox and mail in it."""
    client = sdk()
    made = []
    for _ in range(2):
        pod = client.pods.create(name=f"tenant{next(NUMBERS)}")
        domain = f"t{next(NUMBERS)}.test"
        client.pods.domains.create(pod.pod_id, domain=domain)
        key = client.pods.api_keys.create(pod.pod_id, request=CreateBearerApiKeyRequest(name="tenant")).api_key
        own = sdk(key)
        inbox = new_inbox(own, domain)
        made.append((pod, domain, own, inbox, key))
    return client, made[0], made[1]


def test_pods_do_not_see_each_other(tenants: tuple[Any, Any, Any]) -> None:
    _client, (pod, domain, one, inbox, _), (other_pod, other_domain, two, other, _) = tenants
    two.inboxes.messages.send(other, to=other, subject="Ours", text="x")
    message = two.inboxes.messages.list(other).messages[0]
    draft = two.inboxes.drafts.create(other, text="x")
    key = two.inboxes.api_keys.create(other, request=CreateBearerApiKeyRequest(name="k"))
    two.inboxes.lists.create(other, "receive", "block", entry="bad@else.test")
    two.lists.create("send", "block", entry="worse.test")
    assert [each.inbox_id for each in one.inboxes.list().inboxes] == [inbox]
    assert [each.pod_id for each in one.pods.list().pods] == [pod.pod_id]
    assert [each.domain for each in one.domains.list().domains] == [domain]
    assert one.threads.list().threads == one.drafts.list().drafts == []
    assert key.api_key_id not in {each.api_key_id for each in one.api_keys.list().api_keys}
    assert one.lists.list("send", "block").entries == []
    mid, tid, did = message.message_id, message.thread_id, draft.draft_id
    refused = [
        lambda: one.inboxes.get(other), lambda: one.inboxes.update(other, display_name="x"),
        lambda: one.inboxes.delete(other), lambda: one.inboxes.messages.list(other),
        lambda: one.inboxes.messages.get(other, mid), lambda: one.inboxes.messages.get(inbox, mid),
        lambda: one.inboxes.messages.update(other, mid, add_labels=["x"]),
        lambda: one.inboxes.messages.batch_get(other, message_ids=[mid]),
        lambda: one.inboxes.messages.batch_update(other, message_ids=[mid], add_labels=["x"]),
        lambda: one.inboxes.messages.send(other, to=inbox, text="x"),
        lambda: one.inboxes.messages.reply(inbox, mid, text="x"),
        lambda: one.inboxes.messages.reply_all(inbox, mid, text="x"),
        lambda: one.inboxes.messages.forward(inbox, mid, to=inbox),
        lambda: one.inboxes.messages.get_raw(other, mid), lambda: one.inboxes.messages.get_raw(inbox, mid),
        lambda: one.inboxes.messages.get_attachment(inbox, mid, "1"),
        lambda: one.inboxes.messages.search(other, q="x"), lambda: one.inboxes.messages.delete(inbox, mid),
        lambda: one.threads.get(tid), lambda: one.inboxes.threads.get(inbox, tid),
        lambda: one.threads.update(tid, add_labels=["x"]), lambda: one.threads.delete(tid),
        lambda: one.pods.threads.list(other_pod.pod_id), lambda: one.inboxes.threads.list(other),
        lambda: one.threads.get_attachment(tid, "1"), lambda: one.drafts.get(did),
        lambda: one.inboxes.drafts.get(inbox, did), lambda: one.inboxes.drafts.update(inbox, did, text="y"),
        lambda: one.inboxes.drafts.delete(inbox, did), lambda: one.inboxes.drafts.send(inbox, did),
        lambda: one.inboxes.drafts.create(other, text="x"),
        lambda: one.inboxes.drafts.create(inbox, in_reply_to=mid, text="x"),
        lambda: one.pods.get(other_pod.pod_id), lambda: one.pods.delete(other_pod.pod_id),
        lambda: one.pods.inboxes.list(other_pod.pod_id), lambda: one.pods.inboxes.create(other_pod.pod_id),
        lambda: one.pods.inboxes.get(pod.pod_id, other), lambda: one.pods.drafts.list(other_pod.pod_id),
        lambda: one.pods.api_keys.list(other_pod.pod_id), lambda: one.inboxes.api_keys.list(other),
        lambda: one.pods.api_keys.create(other_pod.pod_id, request=CreateBearerApiKeyRequest(name="x")),
        lambda: one.api_keys.get(key.api_key_id), lambda: one.api_keys.delete(key.api_key_id),
        lambda: one.api_keys.update(key.api_key_id, name="x"),
        lambda: one.lists.get("send", "block", "worse.test"), lambda: one.lists.delete("send", "block", "worse.test"),
        lambda: one.inboxes.lists.list(other, "receive", "block"),
        lambda: one.pods.lists.create(other_pod.pod_id, "send", "block", entry="x.test"),
        lambda: one.domains.get(other_domain), lambda: one.domains.delete(other_domain),
        lambda: one.domains.verify(other_domain), lambda: one.domains.get_setup_link(other_domain),
        lambda: one.inboxes.create(request=CreateInboxRequest(username="x", domain=other_domain)),
        lambda: one.inboxes.metrics.query_usage(other),
    ]  # fmt: skip
    for number, attempt in enumerate(refused):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 404, number
    assert two.inboxes.messages.get(other, mid).labels == message.labels
    assert two.drafts.get(did).updated_at == draft.updated_at


def test_what_a_pod_may_not(tenants: tuple[Any, Any, Any]) -> None:
    client, (pod, domain, one, inbox, _), _ = tenants
    for attempt in (lambda: one.pods.create(name="x"), lambda: one.domains.create(domain="mine.test")):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 403
        assert error.value.body["name"] == "ForbiddenError"
    with pytest.raises(ApiError) as error:
        client.pods.delete(pod.pod_id)
    assert error.value.status_code == 409
    assert client.pods.inboxes.get(pod.pod_id, inbox).pod_id == pod.pod_id
    assert one.auth.me().scope_type == "pod"
    assert one.auth.me().pod_id == pod.pod_id
    assert one.organizations.get().inbox_count == 1
    assert one.domains.get(domain).status == "VERIFIED"
    empty = client.pods.create(client_id=f"empty-{next(NUMBERS)}")
    assert client.pods.create(client_id=empty.client_id).pod_id == empty.pod_id
    client.pods.delete(empty.pod_id)
    with pytest.raises(NotFoundError):
        client.pods.get(empty.pod_id)


def test_keys_on_every_level(gateway: Gateway, sdk: Clients, tenants: tuple[Any, Any, Any]) -> None:
    _client, (pod, _domain, one, inbox, _), _ = tenants
    reading = ApiKeyPermissions(message_read=True, inbox_read=True, api_key_read=True, calendar_read=True)
    made = one.inboxes.api_keys.create(inbox, request=CreateBearerApiKeyRequest(name="reader", permissions=reading))
    assert made.api_key.startswith(made.prefix)
    assert (made.inbox_id, made.pod_id) == (inbox, pod.pod_id)
    granted = {name for name, value in made.permissions.model_dump().items() if value}
    assert granted == {"message_read", "inbox_read", "api_key_read"}
    reader = sdk(made.api_key)
    assert reader.auth.me().inbox_id == inbox
    assert [each.api_key_id for each in reader.api_keys.list().api_keys] == [made.api_key_id]
    for attempt in (
        lambda: reader.inboxes.messages.send(inbox, to=inbox, text="x"), lambda: reader.inboxes.delete(inbox),
        lambda: reader.api_keys.create(request=CreateBearerApiKeyRequest(name="x")),
        lambda: reader.inboxes.create(), lambda: reader.lists.list("send", "block"), lambda: reader.pods.list(),
    ):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 403
    with gateway.imap(inbox, made.api_key) as imap:  # the same key opens the same mailboxes
        assert imap.select("INBOX", readonly=True)[0] == "OK"
        assert imap.select("Spam", readonly=True)[0] == "NO"
    renamed = one.api_keys.update(made.api_key_id, name="eyes")
    assert renamed.name == "eyes"
    with pytest.raises(ApiError, match="never changes"):
        one.api_keys.update(made.api_key_id, permissions=ApiKeyPermissions(message_read=True))
    one.api_keys.delete(made.api_key_id)
    with pytest.raises(ApiError) as error:
        reader.inboxes.list()
    assert error.value.status_code == 401
    lesser = one.api_keys.create(
        request=CreateBearerApiKeyRequest(name="l", permissions=ApiKeyPermissions(api_key_create=True))
    )
    with pytest.raises(ApiError) as error:
        sdk(lesser.api_key).api_keys.create(
            request=CreateBearerApiKeyRequest(name="m", permissions=ApiKeyPermissions(message_read=True))
        )
    assert error.value.status_code == 403


def test_denied_labels_are_not_found(gateway: Gateway, sdk: Clients, pair: Pair) -> None:
    client, inbox, _ = pair
    for number, folder in enumerate(("INBOX", "Trash", "Spam")):
        put(gateway, inbox, letter(f"In {folder}", message_id=f"<{number}.{inbox}>"), folder)
    found = client.inboxes.messages.list(inbox, include_trash=True, include_spam=True).messages
    ids = {each.subject: each.message_id for each in found}
    assert set(ids) == {"In INBOX", "In Trash", "In Spam"}
    blind = sdk(client.inboxes.api_keys.create(
        inbox, request=CreateBearerApiKeyRequest(name="b", permissions=ApiKeyPermissions(message_read=True))
    ).api_key)  # fmt: skip
    seen = blind.inboxes.messages.list(inbox, include_trash=True, include_spam=True).messages
    assert [each.subject for each in seen] == ["In INBOX"]
    assert blind.inboxes.messages.list(inbox, labels=["trash"]).messages == []
    assert blind.inboxes.threads.list(inbox, include_spam=True).count == 1
    for subject in ("In Trash", "In Spam"):
        with pytest.raises(NotFoundError):
            blind.inboxes.messages.get(inbox, ids[subject])


def test_lists_decide_about_mail(tenants: tuple[Any, Any, Any]) -> None:
    client, (pod, _d, one, inbox, _), (_p, other_domain, two, other, _) = tenants
    made = one.inboxes.lists.create(inbox, "send", "block", entry=other_domain, reason="Not them")
    assert (made.entry, made.entry_type, made.list_type, made.inbox_id) == (other_domain, "domain", "block", inbox)
    with pytest.raises(ApiError) as error:
        one.inboxes.messages.send(inbox, to=other, text="x")
    assert error.value.status_code == 403
    one.inboxes.lists.delete(inbox, "send", "block", other_domain)
    client.pods.lists.create(pod.pod_id, "send", "block", entry=other)
    with pytest.raises(ApiError) as error:
        one.inboxes.messages.send(inbox, to=other, text="x")
    assert error.value.status_code == 403
    one.inboxes.lists.create(inbox, "send", "allow", entry=other)  # the narrowest scope wins
    assert one.inboxes.messages.send(inbox, to=other, text="x").message_id
    assert [each.entry for each in one.lists.list("send", "block").entries] == [other]
    assert [each.entry for each in one.inboxes.lists.list(inbox, "send", "allow").entries] == [other]
    assert one.inboxes.lists.list(inbox, "send", "block").entries == []
    with pytest.raises(NotFoundError):
        one.inboxes.lists.get(inbox, "send", "block", other)
    two.inboxes.lists.create(other, "receive", "block", entry=inbox)
    one.inboxes.messages.send(inbox, to=other, subject="Blocked", text="x")
    assert "Blocked" not in {each.subject for each in two.inboxes.messages.list(other).messages}
    kept = two.inboxes.messages.list(other, include_blocked=True).messages
    assert next(each for each in kept if each.subject == "Blocked").labels == ["received", "spam", "unread"]
    for entry in ("not an address@", "a@b@c"):
        with pytest.raises(ValidationError):
            one.lists.create("send", "block", entry=entry)


def test_domains(sdk: Clients) -> None:
    client = sdk()
    made = client.domains.create(domain=f"D{next(NUMBERS)}.Test")
    assert made.domain_id == made.domain == made.domain.lower()
    assert next((each.type, each.value) for each in made.records) == ("MX", "mail.test")
    client.domains.verify(made.domain_id)
    zone = b"".join(client.domains.get_zone_file(made.domain_id)).decode()
    assert zone.startswith(f"{made.domain}. 3600 IN MX 10 mail.test.\n")
    new_inbox(client, made.domain)
    for attempt in (
        lambda: client.domains.create(domain=made.domain), lambda: client.domains.delete(made.domain_id),
        lambda: client.domains.update(made.domain_id, tracking_enabled=True),
    ):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 409


def test_threads_of_many_inboxes_in_one_order(gateway: Gateway, tenants: tuple[Any, Any, Any]) -> None:
    _client, (pod, domain, one, inbox, _), _ = tenants
    boxes = [inbox, new_inbox(one, domain), new_inbox(one, domain)]
    wanted = []
    for number in range(9):
        put(gateway, boxes[number % 3], letter(f"Number {number}", "needle\r\n"))
        wanted.append(f"Number {number}")
    for rising in (False, True):
        expected = wanted if rising else wanted[::-1]
        seen, token = [], None
        while True:
            page = one.threads.list(limit=2, page_token=token, ascending=rising)
            assert page.count <= 2
            seen += [each.subject for each in page.threads]
            token = page.next_page_token
            if token is None:
                break
        assert sorted(seen) == sorted(expected)
        assert len(set(seen)) == 9
    found, token = [], None
    while True:
        page = one.pods.threads.search(pod.pod_id, q="needle", limit=4, page_token=token)
        found += [each.subject for each in page.threads]
        token = page.next_page_token
        if token is None:
            break
    assert sorted(found) == sorted(wanted)
    assert len(one.pods.threads.list(pod.pod_id, labels=["unread", "received"]).threads) == 9


def test_what_is_not_here_says_so(pair: Pair) -> None:
    client, inbox, _ = pair
    for attempt in (
        lambda: client.apps.list(), lambda: client.accounts.list(), lambda: client.inboxes.calendar.get(inbox),
        lambda: client.inboxes.files.list(inbox), lambda: client.inboxes.events.list(inbox),
        lambda: client.organizations.join_labs(),
        lambda: client.agent.sign_up(human_email="a@b.test", username="x"),
        lambda: client.inboxes.messages.release_agent_armor_message(inbox, "M1", reason="x"),
    ):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 404
        assert re.search("here|/api/v1/", str(error.value.body))


def test_metrics_over_time(gateway: Gateway, pair: Pair, sdk: Clients) -> None:
    client, inbox, other = pair
    metrics = client.inboxes.metrics
    start = datetime.now(UTC) - timedelta(seconds=100)
    put(gateway, inbox, letter("One"))
    put(gateway, inbox, letter("Junk"), "Spam")
    for _ in range(2):
        client.inboxes.messages.send(inbox, to=[other], subject="Mine", text="x")
    counted = metrics.query_events(inbox, start=start, period=3600)
    assert {name: sum(each.count for each in found) for name, found in counted.items() if found} == {
        "message.received": 1, "message.received.spam": 1, "message.sent": 2, "message.delivered": 2,
    }  # fmt: skip
    single = metrics.query_events(inbox, event_types=["message.received"], start=start)
    (only,) = single["message.received"]
    assert start <= only.timestamp <= datetime.now(UTC)
    usage = metrics.query_usage(inbox, usage_types=["message_count", "thread_count", "inbox_count"], start=start)
    assert {name: points[-1].value for name, points in usage.items()} == {
        "message_count": 4, "thread_count": 4, "inbox_count": 1,
    }  # fmt: skip
    before = metrics.query_usage(inbox, start=start, period=1, limit=1)
    assert {name: points[0].value for name, points in before.items() if name not in ("pod_count", "domain_count")} == {
        "message_count": 0, "thread_count": 0, "inbox_count": 0, "storage_bytes": 0,
    }  # fmt: skip
    assert len(before) == 6
    ahead = {"start": start, "period": 10, "window": 100, "descending": True, "limit": 3}
    rates = metrics.query_rates(inbox, rate_types=["bounce"], **ahead)
    # A point tells of what was before it: how many of the three lie behind one mail or both is a matter of the clock.
    sent = [each.sent for each in rates["bounce"]]
    assert sent == sorted(sent, reverse=True)
    assert set(sent) <= {0, 1, 2}
    assert [each.rate for each in rates["bounce"]] == [0.0 if count else None for count in sent]
    pod = client.inboxes.get(inbox).pod_id
    assert sum(each.count for each in client.pods.metrics.query_events(pod, period=3600)["message.sent"]) >= 2
    whole = client.metrics.query_usage(usage_types=["domain_count"], descending=True)["domain_count"]
    assert whole[0].value >= 1
    assert whole[0].timestamp > whole[-1].timestamp
    for wrong in (
        {"start": start - timedelta(days=91)}, {"start": start, "end": start}, {"period": 0}, {"limit": 0},
        {"start": start - timedelta(days=80), "period": 60},
    ):
        with pytest.raises(ValidationError):
            metrics.query_usage(inbox, **wrong)
    with pytest.raises(ValidationError, match="window"):
        client.metrics.query_rates(period=60, window=90)
    with pytest.raises(ApiError, match="No such inbox"):
        metrics.query_events("nobody@mail.test")


def test_wrong_values_name_their_field(pair: Pair) -> None:
    client, inbox, _ = pair
    with pytest.raises(ValidationError) as error:
        client.inboxes.messages.batch_get(inbox, message_ids=[])
    assert error.value.body.errors[0]["path"] == ["message_ids"]
    with pytest.raises(ApiError, match=r"nobody@mail\.test") as refused:
        client.inboxes.messages.send(inbox, to="nobody@mail.test", text="x")
    assert refused.value.status_code == 422
    with pytest.raises(ValidationError):
        client.inboxes.messages.send(inbox, to="somebody@", text="x")


def test_webhooks_on_every_level(tenants: tuple[Any, Any, Any]) -> None:
    client, (pod, _domain, one, inbox, _), (_other_pod, _, two, other, _) = tenants
    url = "https://hooks.example.net/in"
    made = client.webhooks.create(
        url=url, event_types=["message.received", "message.bounced"], inbox_ids=[inbox], client_id=f"h-{inbox}",
        headers={"X-Team": "a"},
    )
    assert (made.inbox_id, made.url, made.enabled) == (inbox, url, True)
    assert set(made.event_types or ()) == {"message.received", "message.bounced"}
    assert made.secret.startswith("whsec_")
    again = client.webhooks.create(url=url, event_types=["message.sent"], client_id=f"h-{inbox}")
    assert again.webhook_id == made.webhook_id
    assert client.webhooks.get_headers(made.webhook_id).header_names == ["X-Team"]
    client.webhooks.update_headers(made.webhook_id, headers={"X-New": "b"}, remove_headers=["x-team"])
    assert client.webhooks.get_headers(made.webhook_id).header_names == ["X-New"]
    off = one.webhooks.update(made.webhook_id, enabled=False)
    assert (off.enabled, off.secret) == (False, made.secret)
    whole = one.pods.webhooks.create(pod.pod_id, url=url, event_types=["message.sent"])
    own = one.inboxes.webhooks.create(inbox, url=url, event_types=["message.delivered"])
    assert {each.webhook_id for each in one.webhooks.list().webhooks} == {
        made.webhook_id, whole.webhook_id, own.webhook_id,
    }  # fmt: skip
    assert own.webhook_id in {each.webhook_id for each in one.inboxes.webhooks.list(inbox).webhooks}
    assert whole.webhook_id not in {each.webhook_id for each in one.inboxes.webhooks.list(inbox).webhooks}
    assert two.webhooks.list().webhooks == []
    for attempt in (
        lambda: two.webhooks.get(made.webhook_id), lambda: two.webhooks.update(made.webhook_id, enabled=True),
        lambda: two.webhooks.delete(made.webhook_id), lambda: two.webhooks.get_headers(made.webhook_id),
        lambda: two.webhooks.update_headers(made.webhook_id, headers={"x": "y"}),
        lambda: two.webhooks.create(url=url, event_types=[], inbox_ids=[inbox]),
        lambda: two.webhooks.create(url=url, event_types=[], pod_ids=[pod.pod_id]),
        lambda: one.inboxes.webhooks.get(inbox, whole.webhook_id), lambda: client.webhooks.polling.list(),
    ):
        with pytest.raises(ApiError) as error:
            attempt()
        assert error.value.status_code == 404
    for bad in (
        {"event_types": ["message.read"]}, {"event_types": ["message.opened"]}, {"inbox_ids": [inbox, other]},
        {"url": "http:///x"}, {"headers": {"Host": "x"}},
    ):
        with pytest.raises(ApiError) as error:
            client.webhooks.create(**({"url": url, "event_types": []} | bad))
        assert error.value.status_code == 400, bad
    one.webhooks.delete(whole.webhook_id)
    with pytest.raises(NotFoundError):
        one.webhooks.get(whole.webhook_id)
