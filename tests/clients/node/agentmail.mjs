// agentmail: its quick start, then drafts, keys, lists and errors; only the environment and the key are others.
import { AgentMail, AgentMailClient, AgentMailError } from "agentmail";
import { report, settings } from "./settings.mjs";

const environment = { http: settings.base, websockets: settings.base.replace("https:", "wss:") };
const client = new AgentMailClient({ apiKey: settings.key, environment });
const found = {};

const inbox = await client.inboxes.create({ clientId: "npm", displayName: "Npm" });
const same = await client.inboxes.create({ clientId: "npm" });
found.created = inbox.inboxId === same.inboxId && inbox.email === inbox.inboxId;
const sent = await client.inboxes.messages.send(
  inbox.inboxId,
  {
    to: [inbox.email],
    subject: "Hello from AgentMail!",
    text: "My first mail",
    labels: ["quick-start"],
    attachments: [{ filename: "a.txt", content: Buffer.from("words").toString("base64") }],
  },
);
const page = await client.inboxes.messages.list(inbox.inboxId, { labels: ["received", "unread"] });
found.page = page.count;
const [message] = page.messages;
const whole = await client.inboxes.messages.get(inbox.inboxId, message.messageId);
found.message = [whole.subject, whole.text, whole.labels, whole.timestamp instanceof Date];
const place = await client.inboxes.messages.getAttachment(
  inbox.inboxId,
  message.messageId,
  whole.attachments[0].attachmentId,
);
found.attachment = [place.filename, place.size];
const updated = await client.inboxes.messages.update(inbox.inboxId, message.messageId, {
  addLabels: ["read", "important"],
  removeLabels: ["unread"],
});
found.labels = updated.labels;
const reply = await client.inboxes.messages.reply(inbox.inboxId, message.messageId, { text: "Thanks!" });
const thread = await client.inboxes.threads.get(inbox.inboxId, reply.threadId);
found.thread = thread.messageCount >= 3 && sent.threadId.length > 0;
const threads = await client.threads.list({ limit: 100 });
found.threads = threads.threads.some((each) => each.threadId === reply.threadId);

const socket = await client.websockets.connect();
const heard = [];
const told = new Promise((resolve, reject) => {
  socket.on("error", reject);
  socket.on("message", (event) => {
    heard.push([event.type, event.eventType ?? null, event.message?.subject ?? event.inboxIds?.length]);
    if (event.type === "subscribed") {
      client.inboxes.messages.send(inbox.inboxId, { to: [inbox.email], subject: "Live", text: "x" }).catch(reject);
    } else {
      resolve();
    }
  });
});
await socket.waitForOpen();
socket.sendSubscribe({ type: "subscribe", inboxIds: [inbox.inboxId], eventTypes: ["message.received"] });
await told;
socket.close();
found.socket = heard;

const draft = await client.inboxes.drafts.create(inbox.inboxId, {
  to: [inbox.email],
  subject: "Later",
  text: "x",
  sendAt: new Date(Date.now() + 3600_000),
});
found.draft = [draft.sendStatus, draft.labels];
await client.inboxes.drafts.delete(inbox.inboxId, draft.draftId);

const key = await client.inboxes.apiKeys.create(inbox.inboxId, { name: "reader", permissions: { messageRead: true } });
const reader = new AgentMailClient({ apiKey: key.apiKey, environment });
found.reads = (await reader.inboxes.messages.list(inbox.inboxId)).count;
found.refused = [];
for (const attempt of [
  () => reader.inboxes.messages.send(inbox.inboxId, { to: inbox.email, text: "x" }),
  () => client.inboxes.get("nobody@mail.test"),
  () => client.inboxes.messages.update(inbox.inboxId, message.messageId, { addLabels: ["sent"] }),
]) {
  try {
    await attempt();
    found.refused.push(null);
  } catch (error) {
    if (!(error instanceof AgentMailError)) throw error;
    found.refused.push([error.statusCode, error.body.name, error instanceof AgentMail.NotFoundError]);
  }
}

await client.inboxes.lists.create(inbox.inboxId, "send", "block", { entry: "bad.test" });
found.list = (await client.inboxes.lists.list(inbox.inboxId, "send", "block")).entries.map((each) => each.entry);
const pod = await client.pods.create({ name: "npm-pod" });
found.pod = (await client.pods.get(pod.podId)).name;
await client.inboxes.delete(inbox.inboxId);
report(found);
