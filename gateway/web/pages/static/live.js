// What happens, as it is told: Server-Sent Events. All that comes is put in as text, never as markup.
"use strict";

const list = document.getElementById("events");
const pause = document.getElementById("pause");
const state = document.getElementById("state");
const flags = document.getElementById("flags");
const MOST = 200;
const KINDS = {
  "message.received": ["arrived", "good"], "message.added": ["stored", ""], "message.copied": ["copied", ""],
  "message.moved": ["moved", ""], "message.flags": ["flags", ""], "message.deleted": ["deleted", ""],
  "message.sent": ["sent", "good"], "message.delivered": ["delivered", "good"], "message.deferred": ["put off", "warn"],
  "message.bounced": ["returned", "bad"], "mailbox.created": ["new mailbox", ""], "mailbox.renamed": ["renamed", ""],
  "mailbox.deleted": ["mailbox gone", ""], reset: ["look anew", "warn"],
};
let source = null;
let last = "";
let again = 0;
let wait = 1000;

const made = (name, kind, text) => {
  const one = document.createElement(name);
  if (kind) one.className = kind;
  one.textContent = text;
  return one;
};
const people = (them) => (them || []).map((one) => one.name || one.address).join(", ");

function put(at, word, colour, text, more, path) {
  const row = document.createElement("li");
  row.append(made("span", "when", at ? new Date(at * 1000).toISOString().slice(11, 19) : "now"));
  row.append(" ", made("span", `badge ${colour}`, word), " ");
  const what = made(path ? "a" : "span", "what", text);
  if (path) what.href = path;
  row.append(what, " ", made("span", "soft", more));
  list.prepend(row);
  while (list.children.length > MOST) list.lastElementChild.remove();
  document.getElementById("nothing").hidden = true;
}

function words(type, data) {
  if (type === "reset") return data.reason;
  if (type.startsWith("mailbox.")) return data.mailbox ? data.mailbox.name : "";
  if (data.submission) return [data.recipients ? data.recipients.join(", ") : data.recipient, data.text].filter(Boolean).join(": ");
  const said = [people(data.from), data.subject].filter(Boolean).join(": ");
  return said || (data.flags ? data.flags.join(" ") || "no flags" : "a message");
}

function mail(event) {
  last = event.lastEventId || last;
  if (event.type === "message.flags" && !flags.checked) return;
  const { at, inbox, data } = JSON.parse(event.data);
  const [word, colour] = KINDS[event.type];
  const room = `/inboxes/${encodeURIComponent(inbox.address)}/mail`;
  const there = data.message && event.type !== "message.deleted";
  const path = there ? `${room}/${encodeURIComponent(data.message)}` : data.submission ? "" : room;
  const where = data.mailbox && !event.type.startsWith("mailbox.") ? `${inbox.address}, ${data.mailbox.name}` : inbox.address;
  put(at, word, colour, words(event.type, data), where, path);
}

function account(event) {
  last = event.lastEventId || last;
  const told = JSON.parse(event.data);
  put(told.at, (told.kind === "SYNC" ? "sync" : "sending") + (told.good ? "" : " failed"), told.good ? "good" : "bad", told.text, told.name,
    `/connectors/${encodeURIComponent(told.connector)}`);
}

// Whoever is logged out is led to the login, not kept trying.
async function comeBack() {
  const there = await fetch(location.pathname, { redirect: "manual" }).catch(() => null);
  if (there && there.type === "opaqueredirect") location.reload();
  else listen();
}

function listen() {
  clearTimeout(again);
  source = new EventSource(last ? `${list.dataset.source}?cursor=${encodeURIComponent(last)}` : list.dataset.source);
  source.addEventListener("here", (event) => { last = event.lastEventId || last; wait = 1000; state.textContent = "Connected"; });
  for (const type of Object.keys(KINDS)) source.addEventListener(type, mail);
  source.addEventListener("account", account);
  source.addEventListener("end", (event) => {
    state.textContent = event.data;
    source.close();
    again = setTimeout(comeBack, 500);
  });
  source.addEventListener("error", () => {
    state.textContent = "Not connected: trying again";
    if (source.readyState !== EventSource.CLOSED) return; // the browser comes back by itself, with its cursor
    again = setTimeout(comeBack, wait);
    wait = Math.min(wait * 2, 30000);
  });
}

// A page that nobody looks at leaves its connection to others: browsers have few for one server.
document.addEventListener("visibilitychange", () => {
  clearTimeout(again);
  source.close();
  if (!document.hidden && pause.getAttribute("aria-pressed") !== "true") listen();
});

pause.addEventListener("click", () => {
  const on = pause.getAttribute("aria-pressed") === "true";
  pause.setAttribute("aria-pressed", String(!on));
  pause.textContent = on ? "Pause" : "Go on";
  if (on) { listen(); return; }
  clearTimeout(again);
  source.close();
  state.textContent = "Paused: what happens meanwhile is told when you go on";
});

listen();
