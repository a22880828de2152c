
// All exports, and what is told of them.
const exportsByName = new Map();
const cards = new Map();
let refused = false;

function take(view) {
  const before = exportsByName.get(view.name);
  exportsByName.set(view.name, view);
  let card = cards.get(view.name);
  if (!card) {
    card = makeCard(view.name, false);
    cards.set(view.name, card);
  }
  fillCard(card, view);
  if (before && before.state !== view.state && (IN_NEED.includes(view.state) || view.state === "stopped"))
    say(view.name + ": " + (STATES[view.state] || [0, view.state])[1]);
  if (before && view.state === "idle" && before.exported !== view.exported) say(view.name + ": " + short(view.exported) + " is exported");
  if (view.name === detailName) showDetail(view);
}
function drop(name) {
  exportsByName.delete(name);
  cards.get(name)?.root.remove();
  cards.delete(name);
  if (name === detailName) {
    say(name + " is no more");
    route();
  }
}
function arrange() {
  const wanted = $("search").value.toLowerCase();
  const seen = (view) => [view.name, view.source, view.branch || "", view.export_path, (STATES[view.state] || [])[1] || ""]
    .join("\n").toLowerCase().includes(wanted);
  const rank = (view) => IN_NEED.includes(view.state) ? 0 : 1;
  const views = [...exportsByName.values()].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  // Only what stands elsewhere than it should is moved: the focus stays where it is.
  let place = $("cards").firstElementChild;
  let found = 0;
  for (const view of views) {
    const root = cards.get(view.name).root;
    root.hidden = !seen(view);
    if (!root.hidden) found += 1;
    if (root === place) place = place.nextElementSibling;
    else $("cards").insertBefore(root, place);
  }
  const byState = new Map();
  for (const view of views) {
    const words = (STATES[view.state] || ["off", view.state])[1];
    byState.set(words, (byState.get(words) || 0) + 1);
  }
  text($("counts"), [...byState].map(([words, count]) => number(count) + " " + words).join(" · "));
  $("none").hidden = views.length > 0;
  $("no-match").hidden = views.length === 0 || found > 0;
  entitle();
}
function entitle() {
  const needy = [...exportsByName.values()].filter((view) => IN_NEED.includes(view.state)).length;
  const name = detailName && exportsByName.has(detailName) ? detailName + " – " : "";
  document.title = (needy ? "(" + needy + ") " : "") + name + "lakesync";
}

let arranging = false;
function arrangeSoon() {
  if (arranging) return;
  arranging = true;
  requestAnimationFrame(() => { arranging = false; arrange(); });
}

// Asking the server.
function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { "Authorization": "Bearer " + token } : {};
}
async function ask(method, path) {
  let response;
  try { response = await fetch(path, { method, headers: headers() }); } catch { throw new Error("the server cannot be reached"); }
  if (response.status === 401) askForToken();
  const body = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    const error = body && body.error;
    throw new Error(error ? error.message + (error.cure ? " (" + error.cure + ")" : "") : "the server answered " + response.status);
  }
  return body;
}
async function act(name, action, button) {
  if (button.getAttribute("aria-disabled") === "true" || inFlight.has(name)) return;
  inFlight.add(name);
  button.setAttribute("aria-busy", "true");
  try {
    take(await ask("POST", "/api/v1/exports/" + encodeURIComponent(name) + "/" + action));
    complain("");
    say({ start: "Started ", stop: "Stopped ", run: "Looking now: " }[action] + name);
  } catch (error) {
    complain(name + ": " + error.message);
  } finally {
    inFlight.delete(name);
    button.removeAttribute("aria-busy");
    arrangeSoon();
  }
}
function askForToken() {
  refused = true;
  $("token-form").hidden = false;
  if (document.activeElement === document.body) $("token").focus();
}
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  $("token-form").hidden = true;
  refused = false;
  wakeUp();
});

// Events, over a plain request: EventSource cannot send a token.
let wakeUp = () => {};
const pause = (milliseconds) => new Promise((go) => { const timer = setTimeout(go, milliseconds); wakeUp = () => { clearTimeout(timer); go(); }; });
function heard(kind, data) {
  const value = JSON.parse(data);
  if (kind === "exports") {
    const names = new Set(value.exports.map((view) => view.name));
    for (const name of [...exportsByName.keys()]) if (!names.has(name)) drop(name);
    value.exports.forEach(take);
    complain(value.registry_error ? "The registry: " + value.registry_error : "");
    arrange();
    route();
  } else if (kind === "export") {
    take(value);
    arrangeSoon();
  } else if (kind === "gone") {
    drop(value.name);
    arrangeSoon();
  } else if (kind === "progress") {
    const view = exportsByName.get(value.name);
    if (!view) return;
    view.progress = value;
    fillProgress(cards.get(value.name), value);
    if (value.name === detailName) {
      fillProgress(detailCard, value);
      showLogSoon();
    }
  }
}
function connected(words, isLive) {
  text($("connection"), words);
  $("connection").className = "state " + (isLive ? "good" : "bad");
  // What was true a while ago must not look as if it were true now.
  document.body.classList.toggle("stale", !isLive);
}
async function listen() {
  const control = new AbortController();
  // The server says something every 15 s; who is silent for longer is gone.
  let watchdog = setTimeout(() => control.abort(), 45000);
  try {
    let response;
    const request = { headers: headers(), signal: control.signal, cache: "no-store" };
    try { response = await fetch("/api/v1/events", request); } catch { throw new Error("the server cannot be reached"); }
    if (response.status === 401) { askForToken(); throw new Error("it asks for a token"); }
    if (!response.ok) throw new Error("the server answered " + response.status);
    connected("Live", true);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => control.abort(), 45000);
      waiting += value;
      let end;
      while ((end = waiting.indexOf("\n\n")) >= 0) {
        const frame = waiting.slice(0, end);
        waiting = waiting.slice(end + 2);
        const field = (name) => frame.split("\n").filter((line) => line.startsWith(name + ": ")).map((line) => line.slice(name.length + 2)).join("\n");
        if (!frame.startsWith(":")) heard(field("event"), field("data"));
      }
    }
  } finally {
    clearTimeout(watchdog);
  }
}
async function stayConnected() {
  let delay = 1000;
  let since = null;
  for (;;) {
    const began = Date.now();
    let why = "the connection was closed";
    try { await listen(); } catch (error) { why = error.name === "Error" ? error.message : "the connection broke"; }
    if (Date.now() - began > 5000) { delay = 1000; since = null; }
    since = since || new Date();
    connected(refused ? "Waiting for the token" : "Not connected since " + clock(since) + ": " + why + "; trying again", false);
    await pause(refused ? 3600000 : delay);
    delay = Math.min(delay * 2, 8000);
  }
}

addEventListener("hashchange", route);
// Whoever comes back to the page, or to a network, does not wait for the next try.
addEventListener("online", () => wakeUp());
document.addEventListener("visibilitychange", () => { if (!document.hidden) wakeUp(); });
// The part behind the hash names an export, and one may be called "main".
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
$("search").addEventListener("input", arrange);
setInterval(() => {
  for (const [name, card] of cards) if (!card.root.hidden) fillClock(card, exportsByName.get(name));
  if (detailCard && exportsByName.has(detailName)) fillClock(detailCard, exportsByName.get(detailName));
}, 1000);
stayConnected();
