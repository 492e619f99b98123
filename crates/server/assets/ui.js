// Makes pages more pleasant. Every page works without it.
"use strict";
const all = (selector, root = document) => root.querySelectorAll(selector);
const say = text => { document.getElementById("announcements").textContent = text; };

// Times relative to now, exact on hover and in the attribute.
const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const showTimes = root => {
  for (const time of all("time", root)) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const seconds = (at - Date.now()) / 1000;
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units.at(-1);
    time.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    time.textContent = relative.format(Math.round(seconds / size), unit);
  }
};
showTimes(document);
setInterval(() => showTimes(document), 15000);

// Buttons that copy a text: <button data-copy="ID of an element">.
document.addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  say("Copied");
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 2000);
});
for (const button of all("[data-copy]")) button.hidden = false;

// Forms that ask first: <form data-confirm="text">. Without a script, the server asks on a page of its own.
document.addEventListener("submit", event => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  const text = document.createElement("p");
  const actions = document.createElement("div");
  const yes = document.createElement("button");
  const no = document.createElement("button");
  text.id = "question";
  text.textContent = form.dataset.confirm;
  yes.textContent = event.submitter?.textContent ?? "Yes";
  yes.className = "danger";
  no.textContent = "Cancel";
  actions.className = "actions";
  actions.append(yes, no);
  dialog.append(text, actions);
  dialog.setAttribute("aria-labelledby", "question");
  document.body.append(dialog);
  yes.onclick = () => {
    form.dataset.confirmed = "yes";
    const confirmed = document.createElement("input");
    Object.assign(confirmed, { type: "hidden", name: "confirmed", value: "true" });
    form.append(confirmed);
    form.requestSubmit(event.submitter);
  };
  no.onclick = () => dialog.close();
  dialog.onclose = () => dialog.remove();
  dialog.showModal();
});

// Parts that update by themselves: <div data-live="address">. The server sends the new content of the part.
for (const part of all("[data-live]")) {
  const controls = document.createElement("p");
  const state = document.createElement("span");
  const pause = document.createElement("button");
  controls.className = "actions live";
  state.className = "soft";
  pause.type = "button";
  controls.append(pause, state);
  part.before(controls);
  let source = null, waiting = null;
  // A form that a dialog asks about must stay in the page to be sent, and a part in use stays as it is.
  const show = () => {
    const isInUse = part.contains(document.activeElement) || part.querySelector("input:checked");
    if (waiting === null || isInUse || document.querySelector("dialog[open]")) return;
    part.innerHTML = waiting;
    waiting = null;
    showTimes(part);
  };
  for (const name of ["focusout", "change"]) part.addEventListener(name, () => setTimeout(show));
  document.addEventListener("close", () => setTimeout(show), true);
  const start = () => {
    source = new EventSource(part.dataset.live);
    pause.textContent = "Pause updates";
    state.textContent = "Updates by itself";
    source.onmessage = event => {
      waiting = event.data;
      show();
      state.textContent = "Updates by itself";
    };
    source.onerror = () => { state.textContent = "Updates are cut off; trying again…"; };
  };
  pause.onclick = () => {
    if (!source) return start();
    source.close();
    source = null;
    pause.textContent = "Resume updates";
    state.textContent = "Updates are paused";
  };
  start();
}

// Pages that a form made: <div data-address="address">. Loading the page again must not send the form again.
for (const part of all("[data-address]")) history.replaceState(null, "", part.dataset.address);

// Boxes that tick all others: <input type="checkbox" data-all="name of the others">.
for (const box of all("[data-all]")) {
  box.hidden = false;
  if (box.parentElement.matches("label")) box.parentElement.hidden = false;
  box.addEventListener("change", () => {
    for (const other of all(`input[name="${CSS.escape(box.dataset.all)}"]`)) other.checked = box.checked;
  });
}

// Buttons that tick or untick all boxes of their part of a form.
for (const buttons of all("[data-select-all]")) {
  buttons.hidden = false;
  buttons.addEventListener("click", event => {
    const ticks = event.target.dataset.ticks;
    if (!ticks) return;
    for (const box of all("input[name$=_events]", buttons.parentElement)) {
      if (box.name !== "all_events") box.checked = ticks === "on";
    }
  });
}

// Lists of rows: another empty row appears when the last one is filled.
for (const rows of all("[data-rows]")) {
  rows.addEventListener("input", () => {
    const last = rows.lastElementChild;
    if (![...all("input", last)].some(input => input.value)) return;
    const next = last.cloneNode(true);
    const number = rows.children.length + 1;
    for (const input of all("input", next)) {
      const id = input.id.replace(/\d+$/, number);
      next.querySelector(`label[for="${input.id}"]`).htmlFor = id;
      Object.assign(input, { id, value: "", placeholder: "" });
    }
    rows.append(next);
  });
}

// The arrow keys lead from one value of a chart to the next. Charts are one stop of the tab key each.
document.addEventListener("keydown", event => {
  const spot = event.target.closest(".spots g");
  const others = { ArrowLeft: spot?.previousElementSibling, ArrowRight: spot?.nextElementSibling,
    Home: spot?.parentElement.firstElementChild, End: spot?.parentElement.lastElementChild };
  const next = others[event.key];
  if (!next) return;
  event.preventDefault();
  spot.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
});

// The slash key leads to the search field.
document.addEventListener("keydown", event => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector(".search input");
  if (search) { event.preventDefault(); search.focus(); }
});

// The summary of errors gets the focus.
document.querySelector("[role=alert][autofocus]")?.focus();
