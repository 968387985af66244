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
