// node-imap: openBox, search, fetch, live mail by IDLE, flags, move, delete, wrong password.
import Imap from "imap";
import { fail, report, settings, tls } from "./settings.mjs";

function open(password) {
  return new Imap({
    user: settings.user, password, host: "localhost", port: settings.port, tls: true, tlsOptions: tls,
    keepalive: { interval: 1000, idleInterval: 60000, forceNoop: false },
  });
}

function call(target, method, ...parameters) {
  return new Promise((resolve, reject) => {
    target[method](...parameters, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

function ready(connection) {
  return new Promise((resolve, reject) => {
    connection.once("ready", resolve);
    connection.once("error", reject);
    connection.connect();
  });
}

function fetchWhole(connection, uids) {
  return new Promise((resolve, reject) => {
    const messages = [];
    const fetch = connection.fetch(uids, { bodies: "", struct: true });
    fetch.on("message", (message) => {
      const one = { chunks: [] };
      message.on("body", (stream) => stream.on("data", (chunk) => one.chunks.push(chunk)));
      message.once("attributes", (attributes) => Object.assign(one, attributes));
      message.once("end", () => messages.push(one));
    });
    fetch.once("error", reject);
    fetch.once("end", () => resolve(messages));
  });
}

const found = {};
const connection = open(settings.key);
await ready(connection);
const boxes = await call(connection, "getBoxes");
found.folders = Object.keys(boxes).sort();
const box = await call(connection, "openBox", "INBOX", false);
const before = box.messages.total;
const mail = new Promise((resolve) => connection.once("mail", resolve));
const raw = Buffer.from(settings.raw, "base64");
await call(connection, "append", raw, { mailbox: "INBOX", flags: ["\\Seen"] });
found.arrived = (await mail) >= 1 && box.messages.total > before;
const uids = await call(connection, "search", [["HEADER", "MESSAGE-ID", settings.messageId]]);
found.matches = uids.length;
const [message] = await fetchWhole(connection, uids);
found.exact = Buffer.compare(Buffer.concat(message.chunks), raw) === 0;
found.flags = message.flags;
await call(connection, "addFlags", uids, "\\Flagged");
found.flagged = (await call(connection, "search", ["FLAGGED", ["UID", uids.join(",")]])).length;
await call(connection, "move", uids, "Trash");
const trash = await call(connection, "openBox", "Trash", false);
found.trash = trash.messages.total;
const all = await call(connection, "search", ["ALL"]);
await call(connection, "addFlags", all, "\\Deleted");
await call(connection, "expunge");
found.left = (await call(connection, "search", ["ALL"])).length;
connection.end();

found.refused = await new Promise((resolve) => {
  const wrong = open("gw_wrong");
  wrong.once("ready", () => resolve(false));
  wrong.once("error", (error) => resolve(error.source === "authentication"));
  wrong.connect();
});
report(found);
process.exit(0);
