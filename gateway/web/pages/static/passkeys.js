// Passkeys: carries what the server asks to the browser, and the browser's answer back.
"use strict";

const octets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail || "That did not work.");
  return said;
}

async function make(form) {
  const token = form.dataset.formToken;
  const asked = await post("/passkeys/options", { form_token: token });
  asked.challenge = octets(asked.challenge);
  asked.user.id = octets(asked.user.id);
  asked.excludeCredentials = (asked.excludeCredentials || []).map((one) => ({ ...one, id: octets(one.id) }));
  const made = await navigator.credentials.create({ publicKey: asked });
  const answer = {
    id: made.id, rawId: text(made.rawId), type: made.type,
    response: { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) },
  };
  await post("/passkeys", { form_token: token, name: form.elements.name.value, answer });
  location.reload();
}

async function logIn() {
  const asked = await post("/login/passkey/options", {});
  asked.challenge = octets(asked.challenge);
  const given = await navigator.credentials.get({ publicKey: asked });
  const answer = {
    id: given.id, rawId: text(given.rawId), type: given.type,
    response: {
      clientDataJSON: text(given.response.clientDataJSON), authenticatorData: text(given.response.authenticatorData),
      signature: text(given.response.signature), userHandle: given.response.userHandle ? text(given.response.userHandle) : null,
    },
  };
  const said = await post("/login/passkey", { answer });
  location.assign(said.next);
}

document.addEventListener("submit", async (event) => {
  const what = event.target.dataset.passkey;
  if (!what) return;
  event.preventDefault();
  const note = event.target.querySelector("[role=alert]");
  note.hidden = true;
  try {
    await (what === "make" ? make(event.target) : logIn());
  } catch (error) {
    note.textContent = error.name === "NotAllowedError" ? "Nothing was chosen." : error.message;
    note.hidden = false;
  }
});

for (const form of document.querySelectorAll("[data-passkey]")) form.hidden = !window.PublicKeyCredential;
