"""Bad input to MailSlurp's API: 4xx with a problem document, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.api import Api

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""
Make = Callable[..., Api]
NOBODY = "7b0c5f0e-2f4b-4d5a-9a53-6f1f2f3c4d5e"


@pytest.mark.parametrize("path", [
    "/connectors/x", "/connectors/%00", f"/connectors/{NOBODY}", f"/connectors/{NOBODY}/imap", "/connectors/events/x",
    f"/connectors/events/{NOBODY}", "/emails/x", "/emails/%00", f"/emails/{NOBODY}", f"/emails/{NOBODY}/attachments/x",
    "/inboxes/x", "/inboxes/%00", f"/inboxes/{NOBODY}/emails", f"/sent/{NOBODY}", "/nothing",
    f"/waitForLatestEmail?inboxId={NOBODY}&timeout=1", f"/connectors/by-inbox-id?inboxId={NOBODY}",
])  # fmt: skip
def test_what_is_not_there(api: Make, path: str) -> None:
    answer = api().ask("GET", f"/mailslurp{path}")
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("path", [
    "/connectors?page=-1", "/connectors?size=0", "/connectors?size=1000", "/connectors?sort=UP", "/connectors?since=x",
    "/connectors/by-name", "/waitForNthEmail?index=x", "/waitForEmailCount", "/waitForLatestEmail?timeout=-1",
    "/emails?page=99999999", "/inboxes?size=0", "/waitForLatestEmail",
])  # fmt: skip
def test_parameters_that_are_none(api: Make, path: str) -> None:
    answer = api().ask("GET", f"/mailslurp{path}")
    assert (answer.status, answer.code) == (422, "invalid")


IMAP = {"imapHost": "imap.example"}


@pytest.mark.parametrize(("path", "body"), [
    ("/connectors", {}), ("/connectors", {"emailAddress": "no address"}), ("/connectors", {"emailAddress": 1}),
    ("/connectors/withOptions", {}), ("/connectors/withOptions", {"createConnectorOptions": None}),
    ("/connectors/withOptions", {"createConnectorOptions": {"emailAddress": "a@b.test", "name": "\x00"}}),
    ("/connectors/withOptions", {"createConnectorOptions": {"emailAddress": "a@b.test", "name": NOBODY}}),
    ("/connectors/connections/imap/test", {}), ("/connectors/connections/imap/test", {**IMAP, "imapPort": 0}),
    ("/connectors/connections/imap/test", {**IMAP, "imapPort": "993"[:2] + "x"}),
    ("/connectors/connections/imap/test", {"imapHost": "no host"}),
    ("/connectors/connections/imap/test", {**IMAP, "imapUsername": "a\nb", "imapPassword": "x"}),
    ("/tools/test-smtp-server", {"host": "x"}), ("/tools/test-smtp-server", {"host": "h", "port": 70000}),
    ("/waitFor", {}), ("/imap/server/list?inboxId=inbox@mail.test", {"uidSet": "1:2:3"}),
    ("/imap/server/update-flags?inboxId=inbox@mail.test", {"operation": "ADD_FLAGS", "flags": ["\\Nonsense"],
                                                           "uidSet": "1"}),
    ("/imap/server/update-flags?inboxId=inbox@mail.test", {"operation": "EXPLODE"}),
    ("/inboxes/inbox@mail.test", {"to": ["not an address"], "body": "x"}),
    ("/inboxes/inbox@mail.test", {"to": [], "body": "x"}),
    ("/inboxes/inbox@mail.test", {"to": ["inbox@mail.test"], "template": "x"}),
    ("/inboxes/inbox@mail.test", {"to": ["inbox@mail.test"], "customHeaders": {"Bcc": "x@y.test"}}),
    ("/inboxes/inbox@mail.test", {"to": ["inbox@mail.test"], "customHeaders": {"X-A": "b\r\nBcc: x@y.test"}}),
    ("/inboxes/inbox@mail.test", {"to": ["inbox@mail.test"], "bodyParts": [{"contentType": "x/y", "contentBody": ""}]}),
])  # fmt: skip
def test_bodies_that_are_none(api: Make, path: str, body: object) -> None:
    client = api()
    answer = client.ask("POST", f"/mailslurp{path}", body)
    assert (answer.status, answer.code) == (422, "invalid"), answer.body
    assert client.get("/mailslurp/connectors")["totalElements"] == 0
    assert client.get("/mailslurp/inboxes/inbox@mail.test/emails/count")["totalElements"] == 0


def test_nothing_without_a_key(api: Make) -> None:
    for method, path in (("GET", "/connectors"), ("POST", "/inboxes"), ("GET", "/connectors/provider-settings")):
        assert api("").ask(method, f"/mailslurp{path}").code == "unauthorized"


def test_fields_that_nobody_knows_are_left_alone(api: Make) -> None:
    """As their server does: newer clients send more."""
    made = api().post("/mailslurp/inboxes/withOptions", {"prefix": "new-", "allowTeamAccess": True, "future": [1]})
    assert made["emailAddress"].startswith("new-")


def test_the_document_describes_it(api: Make) -> None:
    told = api("").ask("GET", "/api/v1/openapi.json").json
    paths = [path for path in told["paths"] if path.startswith("/mailslurp/connectors")]
    operations = sum(len(told["paths"][path]) for path in paths)
    assert operations == 31  # all of ConnectorController
    names = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
