// imapflow with QRESYNC: it leaves, the mailbox changes, it comes back; a conditional STORE; VANISHED while it idles.
import { ImapFlow } from "imapflow";
import { report, settings, tls } from "./settings.mjs";

function client(qresync, heard) {
  const made = new ImapFlow({
    host: "localhost", port: settings.port, secure: true, tls, logger: false, qresync,
    auth: { user: settings.user, pass: settings.key },
  });
  made.on("expunge", (event) => heard.push(["expunge", event.uid, Boolean(event.vanished), Boolean(event.earlier)]));
  made.on("flags", (event) => heard.push(["flags", event.uid, [...event.flags].sort(), event.modseq !== undefined]));
  return made;
}

const found = {};
const events = [];
const other = client(false, []);
await other.connect();
const uids = [];
for (let n = 0; n < 4; n++) uids.push((await other.append("INBOX", Buffer.from(settings.raw, "base64"), [])).uid);

const first = client(true, []);
await first.connect();
found.enabled = [...first.enabled].sort();
const known = await first.mailboxOpen("INBOX");
await first.logout();

await other.mailboxOpen("INBOX");
await other.messageFlagsAdd(String(uids[0]), ["\\Flagged"], { uid: true });
await other.messageDelete(String(uids[1]), { uid: true });

const back = client(true, events);
await back.connect();
const box = await back.mailboxOpen("INBOX", { changedSince: known.highestModseq, uidValidity: known.uidValidity });
found.missed = [...events];
found.resynced = box.qresync === true;
found.moved_on = box.highestModseq > known.highestModseq;
found.changed = [];
for await (const message of back.fetch("1:*", { flags: true, uid: true }, { uid: true, changedSince: known.highestModseq })) {
  found.changed.push([message.uid, [...message.flags].sort(), message.modseq > known.highestModseq]);
}

// Two want the same flag, and only if nobody has touched the message.
const since = box.highestModseq;
await back.messageFlagsAdd(String(uids[2]), ["$Mine"], { uid: true, unchangedSince: since });
await other.messageFlagsAdd(String(uids[2]), ["$Theirs"], { uid: true, unchangedSince: since });
const one = await back.fetchOne(String(uids[2]), { flags: true }, { uid: true });
found.winner = [...one.flags];

const heard = new Promise((resolve) => back.on("expunge", resolve));
events.length = 0;
const idling = back.idle();
await other.messageDelete(String(uids[3]), { uid: true });
await heard;
found.idle = [...events];
await back.noop();
await idling;
await back.logout();
await other.logout();
report({ ...found, uids });
process.exit(0);
