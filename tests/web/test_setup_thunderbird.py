"""Thunderbird itself: somebody types a name, an address and the key, and it finds all else and logs in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.thunderbird import PROGRAM, Doors, thunderbird

SETTINGS = '[tls]\nhosts = ["autoconfig.mail.test"]\n'

SET_UP = """
const [address, key] = args;
const window = Services.wm.getMostRecentWindow("mail:3pane");
await window.openAccountHub("MAIL");
const deep = (root, selector) => {
  const hit = root.querySelector(selector);
  if (hit) return hit;
  for (const element of root.querySelectorAll("*")) {
    const inside = element.shadowRoot && deep(element.shadowRoot, selector);
    if (inside) return inside;
  }
  return null;
};
const find = selector => deep(window.document, selector);
const until = async look => {
  for (let turn = 0; turn < 600; turn++) {
    const seen = look();
    if (seen) return seen;
    await new Promise(resolve => window.setTimeout(resolve, 100));
  }
  throw new Error("never: " + look);
};
const type = (input, text) => {
  input.value = text;
  input.dispatchEvent(new window.Event("input", {bubbles: true}));
};
const shown = (form, selector) => {
  const element = find(form);
  return element && !element.hidden ? deep(element, selector) : null;
};
const next = async () => {
  const button = () => find("account-hub-email account-hub-footer #forward");
  await until(() => button() && !button().disabled);
  button().click();
};
const email = await until(() => shown("email-auto-form", "#email"));
type(find("email-auto-form #realName"), "Somebody");
type(email, address);
await next();
const found = {};
for (const what of ["Type", "Host", "Port", "Username", "SocketType"]) {
  const cell = await until(() => shown("email-config-found", "#incoming" + what));
  found[what] = await until(() => cell.textContent);
}
await next();
type(await until(() => shown("email-password-form", "input[type=password]")), key);
await next();
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = await until(() => MailServices.accounts.accounts.find(one => one.incomingServer.type == "imap"));
await until(() => account.incomingServer.rootFolder.subFolders.length >= 5);
found.folders = account.incomingServer.rootFolder.subFolders.map(folder => folder.name).sort();
const smtp = MailServices.outgoingServer.getServerByKey(account.defaultIdentity.smtpServerKey);
found.smtp = [smtp.serverURI.host, smtp.serverURI.port, smtp.username, smtp.socketType];
return found;
"""
TLS_FROM_THE_FIRST_OCTET = 3  # nsMsgSocketType.SSL


def test_thunderbird_sets_itself_up(gateway: Gateway, missing: Callable[[str], None], tmp_path: Path) -> None:
    if shutil.which(PROGRAM) is None:
        missing(PROGRAM)
    address, key = gateway.inbox("somebody@mail.test")
    doors = Doors({("autoconfig.mail.test", 443): gateway.web})
    with doors.open(), thunderbird(tmp_path, gateway.ca_file, doors, "mail.test") as driver:
        found = driver.run(SET_UP, address, key)
    assert found["Type"] == "imap"
    assert (found["Host"], found["Port"], found["Username"]) == ("mail.test", str(gateway.imaps), address)
    assert found["SocketType"] == "SSL/TLS"
    assert found["smtp"] == ["mail.test", gateway.smtps, address, TLS_FROM_THE_FIRST_OCTET]
    assert found["folders"] == ["Drafts", "INBOX", "Sent", "Spam", "Trash"]
    assert ("autoconfig.mail.test", 443) in doors.asked
