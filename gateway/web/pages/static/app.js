// Spares clicks; every page works without it.
"use strict";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.firstElementChild.textContent = "Copied";
  setTimeout(() => { button.firstElementChild.textContent = "Copy"; }, 1500);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.sure;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A sync tells how far it is, line by line; without this the page waits a little and shows what has come.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!("progress" in form.dataset)) return;
  event.preventDefault();
  const told = document.querySelector("[data-told]");
  const button = form.querySelector("button");
  button.disabled = true;
  told.textContent = "It begins.";
  const answer = await fetch(form.action, {
    method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/x-ndjson" },
  });
  if (!answer.ok) {
    told.textContent = (await answer.json()).detail;
    button.disabled = false;
    return;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const said = JSON.parse(line);
      if (said.progress) told.textContent = `${said.progress.folder || "Folders"}: ${said.progress.imported} of ${said.progress.expected} messages.`;
      if (said.error) told.textContent = said.error.detail;
      if (said.result) told.textContent = said.result.success === false ? said.result.message : `Done: ${said.result.imported || 0} new messages.`;
    }
  }
  button.disabled = false;
});

// A form with files stays as it is when it is refused: browsers would forget which files were chosen.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!("stays" in form.dataset)) return;
  event.preventDefault();
  const wrong = form.querySelector("[data-wrong]");
  const files = form.querySelector("input[type=file]");
  const tell = (text) => { wrong.textContent = text; wrong.hidden = false; wrong.scrollIntoView({ block: "nearest" }); };
  wrong.hidden = true;
  const total = [...files.files].reduce((sum, file) => sum + file.size, 0);
  if (total > Number(files.dataset.most)) {
    tell(`The files have ${(total / 1048576).toFixed(1)} MiB; together they may have ${files.dataset.room}.`);
    files.focus();
    return;
  }
  const buttons = form.querySelectorAll("button");
  const body = new FormData(form, event.submitter);
  for (const button of buttons) button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const there = new URL(answer.url).pathname;
    if (answer.redirected && there !== "/login") { location.assign(answer.url); return; }
    if (answer.redirected) throw new Error("You are logged out. Copy what you have written before you log in again.");
    tell((await answer.json()).detail || "That did not work.");
  } catch (error) {
    tell(error instanceof TypeError ? "The server cannot be reached, or does not take so much at once. Look into Sent before you try again." : error.message);
  }
  for (const button of buttons) button.disabled = false;
});

// A test of an account takes a while: say so.
document.addEventListener("submit", (event) => {
  const told = event.target.dataset.busy && document.querySelector("[data-told]");
  if (told && !event.defaultPrevented) told.textContent = event.target.dataset.busy;
});

// What a provider wants is told as soon as it is known which one it is.
const provider = document.querySelector("[data-providers]");
if (provider) {
  const address = document.getElementById("address");
  const hint = document.getElementById("provider-hint");
  const tell = () => {
    const domain = address.value.split("@").pop().toLowerCase();
    const known = [...provider.options].find((one) => (one.dataset.domains || "").split(" ").includes(domain));
    const chosen = provider.value ? provider.selectedOptions[0] : known;
    hint.textContent = chosen ? chosen.dataset.hint : "";
  };
  provider.addEventListener("change", tell);
  address.addEventListener("input", tell);
  tell();
}
