// nodemailer: send with an attachment and a non-ASCII subject on 465 or 587, then with a wrong password.
import nodemailer from "nodemailer";
import { report, settings, tls } from "./settings.mjs";

function transport(pass) {
  return nodemailer.createTransport({
    host: "localhost",
    port: settings.port,
    secure: settings.secure,
    requireTLS: !settings.secure,
    tls,
    auth: { user: settings.user, pass },
  });
}

const good = transport(settings.key);
await good.verify();
const sent = await good.sendMail({
  from: settings.user,
  to: settings.to,
  subject: settings.subject,
  text: "Grüße aus nodemailer\n.\n..two dots\n",
  attachments: [{ filename: "daten.bin", content: Buffer.from(settings.attachment, "base64") }],
});
good.close();

let refused = null;
try {
  await transport("gw_wrong").verify();
} catch (error) {
  refused = { code: error.code, responseCode: error.responseCode };
}
report({ response: sent.response, accepted: sent.accepted, messageId: sent.messageId, refused });
