"""MailSlurp's guides by its own client from PyPI, against the real process, Dovecot and Postfix; certificates checked.

Only the address of the API and the key are others than in the guides.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mailslurp_client as slurp
import pytest
from mailslurp_client.exceptions import ApiException

from gateway.model.permissions import BUNDLES
from tests.clients.test_connector_postfix import Provider, provider
from tests.clients.test_connector_sync import at, put
from tests.servers.process import wait_for
from tests.support.gateway import HOST, Gateway
from tests.web.conftest import admin_key

__all__ = ["provider"]
SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
private_accounts = true
"""


@dataclass
class Client:
    """Their client with one key."""

    api: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(slurp, name)(self.api)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Callable[..., Client]]:
    opened: list[Any] = []

    def make(key: str | None = None) -> Client:
        configuration = slurp.Configuration()
        configuration.host = f"https://{HOST}:{gateway.web}/mailslurp"
        configuration.ssl_ca_cert = str(gateway.ca_file)
        configuration.api_key["x-api-key"] = key or admin_key(gateway)
        opened.append(slurp.ApiClient(configuration))
        return Client(opened[-1])

    yield make
    for each in opened:
        each.close()
        each.rest_client.pool_manager.clear()


@pytest.fixture
def account() -> str:
    return f"{uuid.uuid4().hex[:8]}@elsewhere.test"


def imap_options(provider: Provider, account: str, **changed: Any) -> Any:
    values = {
        "enabled": True, "imap_host": HOST, "imap_port": provider.dovecot.imap, "imap_username": account,
        "imap_password": provider.dovecot.password, "imap_ssl": False, "start_tls": False, **changed,
    }  # fmt: skip
    return slurp.CreateConnectorImapConnectionOptions(**values)


def smtp_options(provider: Provider, account: str, **changed: Any) -> Any:
    values = {
        "enabled": True, "smtp_host": HOST, "smtp_port": provider.postfix.smtps, "smtp_username": account,
        "smtp_password": provider.dovecot.password, "smtp_ssl": True, "start_tls": True,
        "ssl_trust": provider.postfix.ca.read_text(), **changed,
    }  # fmt: skip
    return slurp.CreateConnectorSmtpConnectionOptions(**values)


def create(client: Client, provider: Provider, account: str, *, smtp: bool = False, sync: Any = None) -> Any:
    return client.ConnectorControllerApi.create_connector_with_options(slurp.CreateConnectorWithOptions(
        create_connector_options=slurp.CreateConnectorOptions(
            email_address=account, name=f"example {account}", enabled=True
        ),
        create_connector_imap_connection_options=imap_options(provider, account),
        create_connector_smtp_connection_options=smtp_options(provider, account) if smtp else None,
        create_connector_sync_settings_options=sync,
    ))  # fmt: skip


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(ApiException) as raised:
        call()
    assert isinstance(raised.value.status, int)
    return raised.value.status


def test_the_guide(client: Callable[..., Client], provider: Provider, account: str) -> None:
    """docs.mailslurp.com, Inbox connectors: create with options, test, sync with logs, look at events."""
    here = client()
    api = here.ConnectorControllerApi
    connector = create(here, provider, account)
    assert (connector.email_address, connector.enabled) == (account, True)
    assert not api.get_connector_sync_settings(connector.id).present

    tested = api.test_connector_imap_connection(connector.id)
    assert tested.success, tested
    assert tested.error is None
    assert tested.logs

    with at(provider.dovecot, account) as there:
        put(there, "INBOX", "from the guide")
    result = api.sync_connector(connector.id, logging=True)
    assert result.exception is None
    assert result.sync_result.email_sync_count == 1
    assert any("CAPABILITY IMAP4rev1" in line for line in result.sync_result.logs)
    email = here.EmailControllerApi.get_email(result.sync_result.email_ids[0])
    assert (email.subject, email.inbox_id) == ("from the guide", connector.inbox_id)

    event = api.get_connector_event(result.event_id)
    assert (event.status, event.event_type, event.connector_id) == ("SUCCESS", "SYNC", connector.id)
    assert "CAPABILITY" in event.logs
    for page in (api.get_connector_events(connector.id), api.get_all_connector_events(id=connector.id)):
        assert result.event_id in {one.id for one in page.content}
        assert page.total_elements == len(page.content)
    assert api.get_connector_events(connector.id, event_type="SEND").content == []
    assert provider.dovecot.password not in str(api.get_connector_imap_connection(connector.id).result.imap_password)


def test_connectors_are_found_listed_changed_and_deleted(
    client: Callable[..., Client], provider: Provider, account: str
) -> None:
    here = client()
    api = here.ConnectorControllerApi
    inbox = here.InboxControllerApi.create_inbox()
    made = api.create_connector(
        slurp.CreateConnectorOptions(name="bare", email_address=account), inbox_id=inbox.id
    )
    assert made.inbox_id == inbox.id
    assert api.get_connector_by_email_address(account).result.id == made.id
    assert api.get_connector_by_inbox_id(inbox.id).result.id == made.id
    assert api.get_connector_by_name("bare").result.id == made.id
    assert not api.get_connector_by_name("nobody").present
    assert made.id in {one.id for one in api.get_connectors(size=100, sort="DESC").content}
    first = api.get_connectors(page=0, size=1)
    assert (first.number_of_elements, first.first, first.size) == (1, True, 1)
    later = datetime.now(UTC) + timedelta(days=1)
    assert api.get_connectors(since=later).content == []

    assert not api.get_connector_imap_connection(made.id).present
    assert not api.get_connector_smtp_connection(made.id).present
    assert not api.test_connector_smtp_connection(made.id).success

    imap = api.create_connector_imap_connection(made.id, imap_options(provider, account))
    assert (imap.imap_host, imap.imap_ssl, imap.start_tls, imap.imap_password) == (HOST, False, False, None)
    smtp = api.create_connector_smtp_connection(made.id, smtp_options(provider, account))
    assert (smtp.smtp_port, smtp.smtp_ssl, smtp.start_tls) == (provider.postfix.smtps, True, False)
    assert api.test_connector_imap_connection(made.id).success
    assert api.test_connector_smtp_connection(made.id).success

    wrong = imap_options(provider, account, imap_password="wrong")
    assert not api.test_connector_imap_connection(made.id, create_connector_imap_connection_options=wrong).success
    patched = api.update_connector_imap_connection(
        made.id, slurp.CreateConnectorImapConnectionOptions(imap_host=HOST, select_folder="INBOX")
    )
    assert (patched.select_folder, patched.imap_port) == ("INBOX", provider.dovecot.imap)
    assert api.test_connector_imap_connection(made.id).success  # its password has stayed

    changed = api.update_connector(made.id, slurp.CreateConnectorOptions(name=f"named {account}", enabled=False))
    assert (changed.name, changed.enabled) == (f"named {account}", False)
    assert refused(lambda: api.update_connector(
        made.id, slurp.CreateConnectorOptions(email_address="other@elsewhere.test")
    )) == 409  # fmt: skip

    api.delete_connector_imap_connection(made.id)
    assert not api.get_connector_imap_connection(made.id).present
    assert api.get_connector_smtp_connection(made.id).present
    api.delete_connector_smtp_connection(made.id)
    assert not api.get_connector_smtp_connection(made.id).present
    api.delete_connector(made.id)
    assert refused(lambda: api.get_connector(made.id)) == 404


def test_provider_settings_and_unsaved_options(
    client: Callable[..., Client], provider: Provider, account: str
) -> None:
    api = client().ConnectorControllerApi
    told = api.get_connector_provider_settings()
    google, microsoft = told.google_settings, told.microsoft_settings
    assert (google.imap_host, google.imap_port, google.smtp_port) == ("imap.gmail.com", 993, 465)
    assert (google.smtp_ssl, google.smtp_start_tls) == (True, True)  # as they have it
    assert (microsoft.smtp_host, microsoft.smtp_port, microsoft.smtp_ssl) == ("smtp-mail.outlook.com", 587, False)
    assert api.test_connector_imap_connection_options(imap_options(provider, account)).success
    assert api.test_connector_smtp_connection_options(smtp_options(provider, account)).success
    starttls = smtp_options(provider, account, smtp_port=provider.postfix.smtp, smtp_ssl=False)
    assert api.test_connector_smtp_connection_options(starttls).success
    unknown = api.test_connector_smtp_connection_options(smtp_options(provider, account, ssl_trust="*"))
    assert not unknown.success  # nothing leaves certificates unchecked
    assert "certificate" in unknown.error.lower()
    secret = api.test_connector_imap_connection_options(imap_options(provider, account, imap_password="hunter2 wrong"))
    assert not secret.success
    assert "hunter2" not in str(secret)


def test_scheduled_sync(client: Callable[..., Client], provider: Provider, account: str) -> None:
    here = client()
    api = here.ConnectorControllerApi
    with at(provider.dovecot, account) as there:
        put(there, "INBOX", "by itself")
    settings = slurp.CreateConnectorSyncSettingsOptions(
        sync_enabled=True, sync_schedule_type="INTERVAL", sync_interval=1
    )
    connector = create(here, provider, account, sync=settings)
    found = api.get_connector_sync_settings(connector.id)
    assert (found.present, found.result.sync_interval, found.result.sync_schedule_type) == (True, 1, "INTERVAL")
    emails = here.InboxControllerApi.get_emails(connector.inbox_id, min_count=1, retry_timeout=60_000)
    assert [email.subject for email in emails] == ["by itself"]
    api.delete_connector_sync_settings(connector.id)
    assert not api.get_connector_sync_settings(connector.id).present
    again = api.create_connector_sync_settings(connector.id, slurp.CreateConnectorSyncSettingsOptions(
        sync_enabled=True, sync_schedule_type="INTERVAL", sync_interval=30
    ))  # fmt: skip
    assert again.sync_interval == 30


def test_waiting_syncs(client: Callable[..., Client], provider: Provider, account: str) -> None:
    """The account is synced by nothing but the wait."""
    here = client()
    connector = create(here, provider, account)
    with at(provider.dovecot, account) as there:
        put(there, "INBOX", "waited for")
    email = here.WaitForControllerApi.wait_for_latest_email(
        inbox_id=connector.inbox_id, timeout=60_000, unread_only=True
    )
    assert (email.subject, email.read, email.body.strip()) == ("waited for", False, "body")


def test_a_wait_ends_with_its_key(client: Callable[..., Client], gateway: Gateway) -> None:
    address, key = gateway.inbox(f"revoked-{uuid.uuid4().hex[:6]}@mail.test")
    api = client(key).WaitForControllerApi
    inbox = client().InboxControllerApi.get_inbox_by_email_address(address).inbox_id
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(refused, lambda: api.wait_for_latest_email(inbox_id=inbox, timeout=120_000))
        wait_for(lambda: bool(client(key).InboxControllerApi.get_inbox_count().total_elements), "the server's turn")
        gateway.run("key", "revoke", key)
        assert waiting.result(60) == 401


def test_sending_through_the_account(client: Callable[..., Client], provider: Provider, account: str) -> None:
    here, receiver = client(), f"{uuid.uuid4().hex[:8]}@third.test"
    api = here.ConnectorControllerApi
    connector = create(here, provider, account, smtp=True)
    sent = api.send_email_from_connector(connector.id, slurp.SendEmailOptions(
        to=[receiver], subject="from the connector", body="<b>hello</b>", is_html=True
    ))  # fmt: skip
    assert (sent._from, sent.to, sent.is_html) == (account, [receiver], True)
    assert here.SentEmailsControllerApi.get_sent_email(sent.id).subject == "from the connector"
    here.InboxControllerApi.send_email(connector.inbox_id, slurp.SendEmailOptions(
        to=[receiver], subject="from its inbox", body="hello"
    ))  # fmt: skip
    with at(provider.dovecot, receiver) as there:
        there.select("INBOX", readonly=True)
        wait_for(lambda: there.noop()[0] == "OK" and len(there.search(None, "ALL")[1][0].split()) == 2, "the mail")
        _, rows = there.fetch("1:2", "(BODY.PEEK[HEADER.FIELDS (RETURN-PATH)])")
    paths = [row[1].strip() for row in rows if isinstance(row, tuple)]
    assert paths == [f"Return-Path: <{account}>".encode()] * 2
    wait_for(lambda: len(api.get_connector_events(connector.id, event_type="SEND").content) == 2, "the events")
    assert {event.status for event in api.get_connector_events(connector.id, event_type="SEND").content} == {"SUCCESS"}


def test_a_connector_that_cannot_send_falls_back_to_its_inbox(
    client: Callable[..., Client], provider: Provider, account: str
) -> None:
    here = client()
    connector = create(here, provider, account)
    inbox = here.InboxControllerApi.create_inbox()
    options = slurp.SendEmailOptions(to=[inbox.email_address], subject="fallen back", body="x")
    api = here.ConnectorControllerApi
    assert refused(lambda: api.send_email_from_connector(connector.id, options)) == 409
    sent = api.send_email_from_connector(connector.id, options, use_fallback=True)
    own = here.InboxControllerApi.get_inbox(connector.inbox_id).email_address
    assert sent._from == own
    assert here.WaitForControllerApi.wait_for_latest_email(inbox_id=inbox.id, timeout=30_000).subject == "fallen back"


def test_what_fails_there_is_told_as_theirs(
    client: Callable[..., Client], provider: Provider, account: str
) -> None:
    here = client()
    api = here.ConnectorControllerApi
    connector = create(here, provider, account)
    missing = api.sync_connector(connector.id, folder="nowhere")
    assert "nowhere" in missing.exception
    api.update_connector_imap_connection(connector.id, imap_options(provider, account, imap_password="wrong"))
    failed = api.sync_connector(connector.id, logging=True)
    assert failed.exception
    assert api.get_connector_event(failed.event_id).status == "CONNECTION_ERROR"
    assert "wrong" not in str(failed.sync_result.logs)


def test_inboxes_and_emails(client: Callable[..., Client], gateway: Gateway) -> None:
    here = client()
    boxes, emails = here.InboxControllerApi, here.EmailControllerApi
    one = boxes.create_inbox(name="one")
    two = boxes.create_inbox_with_options(slurp.CreateInboxDto(prefix="two-"))
    assert two.email_address.startswith("two-")
    assert boxes.get_inbox(one.id).name == "one"
    assert {one.id, two.id} <= {box.id for box in boxes.get_inboxes(size=100, sort="DESC")}
    assert boxes.get_inbox_by_email_address(one.email_address).inbox_id == one.id
    assert boxes.does_inbox_exist(two.email_address).exists
    assert not boxes.does_inbox_exist("nobody@mail.test").exists

    confirmed = boxes.send_email_and_confirm(one.id, slurp.SendEmailOptions(
        to=[two.email_address], cc=[one.email_address], subject="Grüße", body="hello"
    ))  # fmt: skip
    got = here.WaitForControllerApi.wait_for_nth_email(inbox_id=two.id, index=0, timeout=30_000)
    assert (got.subject, got._from, got.message_id) == ("Grüße", one.email_address, confirmed.message_id)
    assert got.sender.email_address == one.email_address
    assert got.cc == [one.email_address]
    for subject in ("second", "third"):
        boxes.send_email(one.id, slurp.SendEmailOptions(to=[two.email_address], subject=subject, body=subject))
    three = here.WaitForControllerApi.wait_for_email_count(count=3, inbox_id=two.id, timeout=30_000)
    assert [email.subject for email in three] == ["Grüße", "second", "third"]
    assert here.WaitForControllerApi.wait_for_nth_email(inbox_id=two.id, index=1, timeout=1).subject == "second"
    assert here.WaitForControllerApi.wait_for_latest_email(inbox_id=two.id, timeout=1).subject == "third"
    matching = here.WaitForControllerApi.wait_for_matching_first_email(
        inbox_id=two.id, timeout=1, match_options=slurp.MatchOptions(
            matches=[slurp.MatchOption(field="SUBJECT", should="CONTAIN", value="econ")]
        ),
    )
    assert matching.subject == "second"
    waited = here.WaitForControllerApi.wait_for(slurp.WaitForConditions(
        inbox_id=two.id, count=2, timeout=1, sort_direction="DESC",
        matches=[slurp.MatchOption(field="FROM", should="EQUAL", value=one.email_address)],
    ))  # fmt: skip
    assert [email.subject for email in waited] == ["third", "second"]
    assert refused(lambda: here.WaitForControllerApi.wait_for_email_count(count=4, inbox_id=two.id, timeout=1)) == 404

    page = boxes.get_inbox_emails_paginated(two.id, page=1, size=2, sort="DESC")
    assert ([email.subject for email in page.content], page.total_elements, page.last) == (["Grüße"], 3, True)
    every = emails.get_emails_paginated(inbox_id=[two.id], size=10, unread_only=True)
    assert every.total_elements == 3
    assert emails.mark_as_read(got.id).read
    assert emails.get_emails_paginated(inbox_id=[two.id], unread_only=True).total_elements == 2
    assert boxes.get_inbox_email_count(two.id).total_elements == 3
    assert "Subject:" in emails.get_raw_email_json(got.id).content
    with gateway.imap(two.email_address, admin_key(gateway)) as imap:  # what the API did is what IMAP sees
        imap.select("INBOX")
        assert imap.search(None, "SEEN")[1] == [b"1"]
        imap.create("Kept")
        imap.copy("1", "Kept")
        imap.store("1", "+FLAGS", "\\Deleted")
        imap.expunge()
    assert emails.get_email(got.id).subject == "Grüße"  # its id stays when it is moved
    emails.delete_email(got.id)
    assert refused(lambda: emails.get_email(got.id)) == 404
    boxes.delete_all_inbox_emails(two.id)
    assert boxes.get_emails(two.id) == []
    boxes.delete_inbox(two.id)
    assert refused(lambda: boxes.get_inbox(two.id)) == 404


def test_access_details_open_the_inbox(client: Callable[..., Client], gateway: Gateway) -> None:
    address, key = gateway.inbox(f"access-{uuid.uuid4().hex[:6]}@mail.test")
    api = client(key).InboxControllerApi
    told = api.get_imap_smtp_access()
    assert (told.email_address, told.secure_imap_username) == (address, address)
    assert (told.secure_imap_server_port, told.secure_smtp_server_port) == (gateway.imaps, gateway.smtps)
    with gateway.imap(told.secure_imap_username, told.secure_imap_password) as imap:
        assert imap.select("INBOX")[0] == "OK"
    with gateway.smtp(told.secure_smtp_username, told.secure_smtp_password):
        pass
    servers = api.get_imap_smtp_access_servers()
    assert servers.secure_imap_server.tls
    assert f"EMAIL_ADDRESS={address}" in api.get_imap_smtp_access_env()


def test_imap_over_http(client: Callable[..., Client], gateway: Gateway) -> None:
    address, key = gateway.inbox(f"imap-{uuid.uuid4().hex[:6]}@mail.test")
    with gateway.imap(address, key) as imap:
        for subject in ("one", "two", "three"):
            put(imap, "INBOX", subject)
    here = client(key)
    api = here.ImapControllerApi
    listed = api.imap_server_list(slurp.ImapServerListOptions(seq_set="2:*")).results
    assert [(row.seq_num, row.uid, row.read) for row in listed] == [(2, 2, False), (3, 3, False)]
    fetched = api.imap_server_fetch(1).result
    assert "Subject: one" in fetched.content
    assert api.imap_server_get(fetched.id).result.uid == 1
    found = api.imap_server_search(slurp.ImapServerSearchOptions(header={"subject": ["two"]})).results
    assert [row.uid for row in found] == [2]
    api.imap_server_update_flags(slurp.ImapUpdateFlagsOptions(operation="ADD_FLAGS", flags=["\\Seen"], uid_set="2"))
    unseen = api.imap_server_search(slurp.ImapServerSearchOptions(without_flags=["\\Seen"])).results
    assert [row.uid for row in unseen] == [1, 3]
    status = api.imap_server_status(slurp.ImapServerStatusOptions(name="INBOX", status_items=["MESSAGES"])).result
    assert (status.messages, status.unseen, status.uid_next, status.unseen_seq_num) == (3, 2, 4, 1)
    assert api.imap_server_mailbox("Lists").success
    assert refused(lambda: api.imap_server_list(slurp.ImapServerListOptions(uid_set="x"))) == 422


def test_flags_of_more_than_one_unit(client: Callable[..., Client], gateway: Gateway, tmp_path: Path) -> None:
    address, key = gateway.inbox(f"imap-{uuid.uuid4().hex[:6]}@mail.test")
    mbox = tmp_path / "many.mbox"
    begin = "From a@b.test Thu Jan  1 00:00:00 1970\n"
    mbox.write_text("".join(f"{begin}Subject: {number}\n\n\n" for number in range(1002)))
    gateway.run("message", "import", str(mbox), "--inbox", address)
    api = client(key).ImapControllerApi
    options = slurp.ImapUpdateFlagsOptions(operation="ADD_FLAGS", flags=["\\Flagged"], uid_set="2:*")
    api.imap_server_update_flags(options)
    with gateway.imap(address, key) as imap:
        imap.select("INBOX")
        assert imap.search(None, "UNFLAGGED")[1] == [b"1"]
    sent = datetime(1971, 1, 1, tzinfo=UTC)  # without a Date it is the time of arrival, which the mbox says
    late = b"Date: Fri, 01 Jan 1999 00:00:00 +0000\r\nSubject: late\r\n\r\n"
    with gateway.imap(address, key) as imap:
        imap.append("INBOX", None, None, late)
    found = api.imap_server_search(slurp.ImapServerSearchOptions(sent_since=sent)).results
    assert [row.seq_num for row in found] == [1003]


def test_smtp_servers_are_diagnosed(client: Callable[..., Client], provider: Provider, account: str) -> None:
    api = client().ToolsControllerApi
    clear = api.test_smtp_server(slurp.TestSmtpServerOptions(
        host=HOST, port=provider.postfix.smtp, use_start_tls=False, username=account, password="x"
    ))  # fmt: skip
    assert (clear.connected, clear.auth.attempted, clear.auth.success) == (False, True, False) or clear.errors
    nothing = api.test_smtp_server(slurp.TestSmtpServerOptions(host=HOST, port=1, use_start_tls=False))
    assert (nothing.connected, nothing.banner) == (False, None)
    assert nothing.errors


def test_another_pod_finds_nothing(
    client: Callable[..., Client], gateway: Gateway, provider: Provider, account: str
) -> None:
    here = client()
    connector = create(here, provider, account)
    with at(provider.dovecot, account) as there:
        put(there, "INBOX", "not yours")
    done = here.ConnectorControllerApi.sync_connector(connector.id)
    email, event = done.sync_result.email_ids[0], done.event_id
    name = f"pod{uuid.uuid4().hex[:8]}"
    gateway.operate("pod.add", name=name)
    stranger = client(gateway.operate("key.create", pod=name, permissions=list(BUNDLES))["key"])
    api = stranger.ConnectorControllerApi
    options = slurp.SendEmailOptions(to=["a@b.test"], body="x")
    calls: list[Callable[[], object]] = [
        lambda: api.get_connector(connector.id), lambda: api.delete_connector(connector.id),
        lambda: api.update_connector(connector.id, slurp.CreateConnectorOptions(name="mine")),
        lambda: api.get_connector_imap_connection(connector.id),
        lambda: api.get_connector_smtp_connection(connector.id),
        lambda: api.test_connector_imap_connection(connector.id), lambda: api.sync_connector(connector.id),
        lambda: api.get_connector_sync_settings(connector.id), lambda: api.get_connector_events(connector.id),
        lambda: api.get_connector_event(event), lambda: api.send_email_from_connector(connector.id, options),
        lambda: api.delete_connector_imap_connection(connector.id),
        lambda: api.get_connector_by_inbox_id(connector.inbox_id),
        lambda: stranger.InboxControllerApi.get_inbox(connector.inbox_id),
        lambda: stranger.EmailControllerApi.get_email(email), lambda: stranger.EmailControllerApi.delete_email(email),
        lambda: stranger.EmailControllerApi.mark_as_read(email),
        lambda: stranger.EmailControllerApi.get_raw_email_json(email),
        lambda: stranger.InboxControllerApi.get_emails(connector.inbox_id),
        lambda: stranger.InboxControllerApi.send_email(connector.inbox_id, options),
        lambda: stranger.InboxControllerApi.get_imap_smtp_access(inbox_id=connector.inbox_id),
        lambda: stranger.WaitForControllerApi.wait_for_latest_email(inbox_id=connector.inbox_id, timeout=1),
        lambda: stranger.ImapControllerApi.imap_server_fetch(1, inbox_id=connector.inbox_id),
    ]  # fmt: skip
    for number, call in enumerate(calls):
        assert refused(call) == 404, number
    assert api.get_connectors().content == []
    assert api.get_all_connector_events().content == []
    assert not api.get_connector_by_email_address(account).present
    assert stranger.EmailControllerApi.get_emails_paginated().content == []
    api.delete_all_connector()
    assert here.ConnectorControllerApi.get_connector(connector.id).id == connector.id


def test_private_networks_are_the_owners(
    client: Callable[..., Client], gateway: Gateway, provider: Provider, account: str
) -> None:
    """The setting opens them for keys that open everything, and for no others."""
    _, key = gateway.inbox(f"private-{uuid.uuid4().hex[:6]}@mail.test", "--permissions", "admin,read")
    here = client(key)
    tested = here.ConnectorControllerApi.test_connector_imap_connection_options(imap_options(provider, account))
    assert not tested.success
    assert "private network" in tested.error
    diagnosed = here.ToolsControllerApi.test_smtp_server(
        slurp.TestSmtpServerOptions(host=HOST, port=provider.postfix.smtp, use_start_tls=True)
    )
    assert not diagnosed.connected


def test_their_client_checks_our_certificate(client: Callable[..., Client]) -> None:
    here = client()
    here.api.configuration.ssl_ca_cert = None
    strict = slurp.ApiClient(here.api.configuration)
    try:
        with pytest.raises(Exception, match="certificate verify failed") as raised:
            slurp.InboxControllerApi(strict).get_inboxes(_request_timeout=10)
    finally:
        strict.close()
        strict.rest_client.pool_manager.clear()
    assert ssl.SSLError.__name__ in repr(raised.value)
