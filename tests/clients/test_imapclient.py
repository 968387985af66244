"""IMAPClient against the real process: the library most Python programs use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.support.gateway import HOST, Gateway

from .mail import SUBJECT, new_message

READERS = 2  # as by default


def _client(gateway: Gateway, address: str, key: str) -> IMAPClient:
    client = IMAPClient(HOST, port=gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    client.login(address, key)
    return client


def test_a_day_with_imapclient(gateway: Gateway) -> None:
    address, key = gateway.inbox(f"imapclient@{gateway.hostname}")
    message = new_message(address, address)
    raw = message.as_bytes()
    with _client(gateway, address, key) as client, _client(gateway, address, key) as watcher:
        roles = {name: set(flags) for flags, _, name in client.list_folders()}
        assert set(roles) == {"INBOX", "Sent", "Drafts", "Trash", "Spam"}
        assert b"\\Junk" in roles["Spam"]
        assert client.namespace() == ((("", "/"),), None, None)
        assert client.id_({"name": "test"})
        assert client.find_special_folder(b"\\Sent") == "Sent"

        watcher.select_folder("INBOX")
        watcher.idle()
        when = datetime(2020, 2, 29, 12, 30, 15, tzinfo=UTC)
        client.append("INBOX", raw, flags=(b"\\Seen", b"$Work"), msg_time=when)
        assert (1, b"EXISTS") in watcher.idle_check(timeout=10)
        watcher.idle_done()

        opened = client.select_folder("INBOX")
        assert opened[b"EXISTS"] == 1
        assert b"\\*" in opened[b"PERMANENTFLAGS"]
        (uid,) = client.search(["SUBJECT", SUBJECT, "KEYWORD", "$Work"], charset="UTF-8")
        got = client.fetch([uid], ["RFC822", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "FLAGS", "RFC822.SIZE"])[uid]
        assert got[b"RFC822"] == raw
        assert got[b"RFC822.SIZE"] == len(raw)
        assert got[b"ENVELOPE"].message_id.decode() == message["Message-ID"]
        assert got[b"BODYSTRUCTURE"].is_multipart
        assert got[b"INTERNALDATE"].astimezone(UTC) == when
        assert set(got[b"FLAGS"]) == {b"\\Seen", b"$Work"}

        client.add_flags([uid], [b"\\Flagged"])
        assert client.search("FLAGGED") == [uid]
        client.create_folder("Archiv/Grüße")
        assert client.folder_status("Archiv/Grüße", ["MESSAGES", "UIDNEXT"]) == {b"MESSAGES": 0, b"UIDNEXT": 1}
        client.move([uid], "Archiv/Grüße")
        assert client.search() == []
        client.select_folder("Archiv/Grüße")
        client.copy(client.search(), "Trash")
        assert client.folder_status("Trash", ["MESSAGES"]) == {b"MESSAGES": 1}
        client.delete_messages(client.search())
        client.expunge()
        assert client.search() == []
        client.rename_folder("Archiv/Grüße", "Archiv/Neu")
        assert client.folder_exists("Archiv/Neu")
        client.close_folder()
        client.delete_folder("Archiv/Neu")
        with pytest.raises(IMAPClientError, match="Folder not found"):
            client.select_folder("Archiv/Neu")


def test_a_wrong_key_is_refused(gateway: Gateway) -> None:
    address, key = gateway.inbox(f"imapclient-wrong@{gateway.hostname}")
    client = IMAPClient(HOST, port=gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
        client.login(address, key[:-1] + ("0" if key[-1] != "0" else "1"))
    client.login(address, key)  # the connection goes on
    client.logout()
