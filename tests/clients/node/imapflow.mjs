// imapflow (it compresses where it may, and has a token instead of a password if asked): log in, list, append, see it arrive by IDLE on a second connection, fetch, flag, search, move, delete.
import { ImapFlow } from "imapflow";
import { report, settings, tls } from "./settings.mjs";

function client(pass = settings.key) {
  const auth = settings.token ? { user: settings.user, accessToken: pass } : { user: settings.user, pass };
  return new ImapFlow({
    host: "localhost", port: settings.port, secure: true, tls, logger: false,
    auth,
  });
}

const found = {};
const watcher = client();
await watcher.connect();
found.folders = (await watcher.list()).map((box) => [box.path, box.specialUse || null]);
await watcher.mailboxOpen("INBOX");
const arrived = new Promise((resolve) => watcher.on("exists", resolve));
const idling = watcher.idle();

const worker = client();
await worker.connect();
found.compressed = Boolean(worker._inflate && worker._deflate);
const raw = Buffer.from(settings.raw, "base64");
const appended = await worker.append("INBOX", raw, ["\\Seen", "$Forwarded"]);
found.exists = (await arrived).count;
await watcher.noop();
await idling;
await watcher.logout();

const lock = await worker.getMailboxLock("INBOX");
try {
  const one = await worker.fetchOne(
    String(appended.uid),
    { uid: true, flags: true, envelope: true, bodyStructure: true, source: true, internalDate: true },
    { uid: true },
  );
  found.subject = one.envelope.subject;
  found.flags = [...one.flags].sort();
  found.parts = one.bodyStructure.childNodes ? one.bodyStructure.childNodes.length : 1;
  found.exact = Buffer.compare(one.source, raw) === 0;
  const download = await worker.download(String(appended.uid), "2", { uid: true });
  const chunks = [];
  for await (const chunk of download.content) chunks.push(chunk);
  found.attachment = Buffer.concat(chunks).toString("base64");
  await worker.messageFlagsAdd(String(appended.uid), ["\\Flagged"], { uid: true });
  found.search = (await worker.search({ flagged: true, uid: String(appended.uid) }, { uid: true })).length;
  const moved = await worker.messageMove(String(appended.uid), "Trash", { uid: true });
  found.moved = moved.uidMap.size;
} finally {
  lock.release();
}
const trash = await worker.getMailboxLock("Trash");
try {
  found.deleted = await worker.messageDelete("1:*");
  found.left = worker.mailbox.exists;
} finally {
  trash.release();
}
await worker.mailboxCreate("Projekte/Grüße");
await worker.mailboxRename("Projekte/Grüße", "Projekte/Neu");
await worker.mailboxDelete("Projekte/Neu");
await worker.mailboxDelete("Projekte");
await worker.logout();

const wrong = client("gw_wrong");
try {
  await wrong.connect();
  found.refused = false;
} catch (error) {
  found.refused = error.authenticationFailed === true;
}
report(found);
process.exit(0);
