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

// What a form brings about tells how far it is, line by line; without this the page shows the end when that has come.
async function followed(form, tell) {
  const told = document.querySelector("[data-told]");
  const buttons = document.querySelectorAll("main button");
  for (const button of buttons) button.disabled = true;
  told.textContent = "It begins.";
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/x-ndjson" },
    });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const said = JSON.parse(line);
        if (said.error) throw new Error(said.error.detail);
        tell(said, told);
      }
    }
  } catch (error) {
    told.textContent = error.message;
  }
  for (const button of buttons) button.disabled = false;
}

const SHOWS = {
  sync(said, told) {
    const { progress, result } = said;
    if (progress) told.textContent = `${progress.folder || "Folders"}: ${progress.imported} of ${progress.expected} messages.`;
    if (result) told.textContent = result.success === false ? result.message : `Done: ${result.imported || 0} new messages.`;
  },
  // Steps come one by one, the dialogue at the end.
  test(said, told) {
    const steps = document.querySelector("[data-steps]");
    if (steps.hidden) { steps.hidden = false; steps.querySelector("ol").replaceChildren(); }
    if (said.progress) {
      const { side, name, ok, ms, text } = said.progress;
      const row = document.createElement("li");
      const badge = document.createElement("span");
      badge.className = `badge ${ok ? "good" : "bad"}`;
      badge.textContent = ok ? "ok" : "no";
      row.append(badge, ` ${side} ${name} `, Object.assign(document.createElement("span"), { className: "soft", textContent: `${ms} ms` }), ` ${text}`);
      steps.querySelector("ol").append(row);
      told.textContent = "The test is running.";
    }
    if (!said.result) return;
    const dialogue = document.createElement("details");
    dialogue.append(document.createElement("summary"), document.createElement("pre"));
    dialogue.firstChild.textContent = "What was said";
    dialogue.lastChild.textContent = said.result.flatMap((leg) => leg.logs).join("\n");
    steps.querySelector("details")?.remove();
    steps.append(dialogue);
    told.textContent = said.result.map((leg) => [`${leg.side} ${leg.success ? "works" : "fails"}: ${leg.message}`, leg.advice].filter(Boolean).join(" ")).join(" ");
  },
};

document.addEventListener("submit", (event) => {
  const tell = SHOWS[event.target.dataset.progress];
  if (!tell || event.defaultPrevented) return;
  event.preventDefault();
  if (event.target.dataset.progress === "test") document.querySelector("[data-steps]").hidden = true;
  followed(event.target, tell);
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
