// mailslurp-client: its guide to inbox connectors, then inboxes and mail; only base path and key are others.
import mailslurp from "mailslurp-client";
import { report, settings } from "./settings.mjs";

const client = new mailslurp.MailSlurp({ apiKey: settings.key, basePath: settings.base });
const { connectorController, inboxController } = client;
const found = {};

const connector = await connectorController.createConnectorWithOptions({
  createConnectorWithOptions: {
    createConnectorOptions: { emailAddress: settings.account, name: "example-connector", enabled: true },
    createConnectorImapConnectionOptions: {
      enabled: true,
      imapHost: "localhost",
      imapPort: settings.imap,
      imapPassword: settings.password,
      imapUsername: settings.account,
      imapSsl: false,
      startTls: false,
    },
    createConnectorSmtpConnectionOptions: {
      enabled: true,
      smtpHost: "localhost",
      smtpPort: settings.smtps,
      smtpPassword: settings.password,
      smtpUsername: settings.account,
      smtpSsl: true,
      startTls: true,
      sslTrust: settings.trust,
    },
    createConnectorSyncSettingsOptions: undefined,
  },
});
found.tested = [
  (await connectorController.testConnectorImapConnection({ id: connector.id })).success,
  (await connectorController.testConnectorSmtpConnection({ id: connector.id })).success,
];
const result = await connectorController.syncConnector({ id: connector.id, logging: true });
found.sync = {
  count: result.syncResult?.emailSyncCount,
  ids: result.syncResult?.emailIds?.length,
  capability: result.syncResult?.logs?.some((line) => line.includes("CAPABILITY IMAP4rev1")),
};
found.subject = (await client.getEmail(result.syncResult.emailIds[0])).subject;
const events = await connectorController.getConnectorEvents({ id: connector.id });
found.event = [events.content[0].eventType, events.content[0].status, events.content[0].createdAt instanceof Date];

const inbox = await client.createInbox();
const sent = await connectorController.sendEmailFromConnector({
  id: connector.id,
  sendEmailOptions: { to: [inbox.emailAddress], subject: "through the account", body: "hello" },
});
found.from = sent.from;
await client.sendEmail(connector.inboxId, { to: [inbox.emailAddress], subject: "by its inbox", body: "again" });
const second = await client.waitForNthEmail(inbox.id, 1, 30000);
const latest = await client.waitForLatestEmail(inbox.id, 30000);
found.waited = [second.subject, latest.id === second.id];
found.listed = (await client.getEmails(inbox.id)).map((email) => email.subject).sort();
found.inbox = (await inboxController.getInbox({ inboxId: inbox.id })).emailAddress === inbox.emailAddress;
try {
  await connectorController.getConnector({ id: inbox.id });
} catch (error) {
  found.missing = error.status;
}
report(found);
