"use strict";
/* The pages work without this file; it makes them live. No third party, no inline code. */

const MAX_WAIT_MS = 20000;

/* Makes the element of an id as new HTML of ours says. */
function update(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const shell = document.createElement("template");
  shell.innerHTML = html;
  dress(shell.content);
  liken(old, shell.content.getElementById(id));
  tick();
}

/* Only what differs is touched: focus, what was typed, opened or is being pressed stays. What has
   a data-key is the same thing wherever it stands: no button becomes that of another charge. */
function liken(old, fresh) {
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keyed = new Map([...old.children].filter((c) => c.dataset.key).map((c) => [c.dataset.key, c]));
  const wanted = new Set([...fresh.children].map((c) => c.dataset.key));
  for (const [key, child] of keyed) if (!wanted.has(key)) child.remove();
  let at = old.firstChild;
  const skip = () => { const gone = at; at = at.nextSibling; gone.remove(); };
  for (const child of [...fresh.childNodes]) {
    const key = child.dataset?.key;
    const alike = at && !at.dataset?.key && at.nodeName === child.nodeName;
    const same = key ? keyed.get(key) : alike ? at : null;
    if (!same) { old.insertBefore(child, at); continue; }
    keyed.delete(key);
    while (at && at !== same && !at.dataset?.key) skip();
    if (at === same) at = at.nextSibling; else old.insertBefore(same, at);
    if (child.nodeType === Node.ELEMENT_NODE) liken(same, child);
    else if (same.data !== child.data) same.data = child.data;
  }
  while (at) skip();
}

/* What only a script can offer: copy buttons, local times, countdowns. */
function dress(root) {
  if (navigator.clipboard) for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  const { lang } = document.documentElement;
  const locale = navigator.languages.find((tag) => tag.startsWith(lang)) || lang;
  const zone = { hour: "2-digit", minute: "2-digit" };
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const day = time.hasAttribute("data-date") ? { dateStyle: "medium", timeStyle: "short" } : zone;
    time.textContent = new Intl.DateTimeFormat(locale, day).format(at);
  }
  tick();
}

function tick() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Math.round((Number(element.dataset.until) - Date.now()) / 1000));
    const h = Math.floor(left / 3600), m = Math.floor(left / 60) % 60, s = String(left % 60).padStart(2, "0");
    const text = h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
    if (element.textContent !== text) element.textContent = text;
    /* A screen reader would read every second aloud. */
    element.setAttribute("aria-live", "off");
  }
}

/* A page that stays live: a websocket that comes back, and gets everything anew when it does. */
function live(path) {
  const status = document.getElementById("link");
  let wait = 500, timer = 0, socket = null, over = false;
  function connect() {
    clearTimeout(timer);
    if (over || (socket && socket.readyState < 2)) return;
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    socket.onopen = () => { wait = 500; if (status) status.textContent = ""; };
    socket.onmessage = (message) => {
      const parts = JSON.parse(message.data);
      for (const id in parts) update(id, parts[id]);
      const topup = document.getElementById("topup");
      const now = document.getElementById("now");
      if (topup && now) topup.hidden = !["STARTING", "CHARGING", "SUSPENDED"].includes(now.dataset.state);
    };
    socket.onclose = (event) => {
      if (event.code === 4000 || event.code === 4404) { over = true; return; }
      if (event.code === 4401) { location.assign(document.body.dataset.out); return; }
      if (status) status.textContent = status.dataset.lost;
      timer = setTimeout(connect, wait * (0.5 + Math.random()));
      wait = Math.min(wait * 2, MAX_WAIT_MS);
    };
  }
  addEventListener("online", connect);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) connect(); });
  connect();
}

/* The invoice page: asks whether the payment has arrived, at once when the driver comes back. */
function awaitPayment(path) {
  let timer = 0;
  async function ask() {
    clearTimeout(timer);
    try {
      const answer = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.ok) {
        const { settled, expires_at_ms: ends } = await answer.json();
        if (settled || ends <= Date.now()) { location.reload(); return; }
      }
    } catch { /* no reception: ask again */ }
    timer = setTimeout(ask, 1500);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  ask();
}

/* The public page: its live part is fetched again while somebody looks. */
function refresh(element) {
  const { id, dataset: { refresh: path } } = element;
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(path, { cache: "no-store" });
      if (answer.ok) update(id, await answer.text());
    } catch { /* no reception: what is shown stays */ }
  }, 5000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const text = button.textContent;
  button.textContent = "✓";
  setTimeout(() => { button.textContent = text; }, 1500);
});

/* Typing an own amount takes the choice off the tiles. */
document.addEventListener("input", (event) => {
  if (event.target.name !== "other_sat" || !event.target.value) return;
  for (const radio of event.target.form.querySelectorAll("input[name=sat]")) radio.checked = false;
});
document.addEventListener("change", (event) => {
  if (event.target.name !== "sat") return;
  event.target.form.elements.other_sat.value = "";
});

dress(document);
setInterval(tick, 1000);
if (document.body.dataset.live) live(document.body.dataset.live);
const waiting = document.querySelector("[data-await]");
if (waiting) awaitPayment(waiting.dataset.await);
const state = document.querySelector("[data-refresh]");
if (state) refresh(state);
