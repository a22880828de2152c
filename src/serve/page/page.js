
"use strict";
// Every text from outside goes through textContent or an attribute that holds no code.
const $ = (id) => document.getElementById(id);
const exportsByName = new Map();
const cards = new Map();
const rates = new Map();
let detailName = null;
let detailCard = null;
let runsShownFor = null;
let objectsNext = null;
let refused = false;

const STATES = {
  "broken": ["bad", "broken"], "stopped": ["off", "stopped"], "starting": ["busy", "starting"],
  "looking": ["busy", "reading the head"], "running": ["busy", "exporting"], "idle": ["good", "up to date"],
  "waiting-for-lease": ["wait", "waiting for the lease"], "retrying": ["bad", "failed, will try again"],
  "held": ["bad", "source is gone"], "stopping": ["wait", "stopping"],
};
const IN_NEED = ["broken", "held", "retrying", "waiting-for-lease"];

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === "class") made.className = value;
    else if (key.startsWith("aria-") || key === "role" || key === "scope") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}
function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function text(node, value) { if (node.textContent !== value) node.textContent = value; }

const short = (commit) => commit ? (commit.length > 16 ? commit.slice(0, 12) : commit) : "–";
const number = (count) => (count ?? 0).toLocaleString("en");
function size(bytes) {
  let value = bytes ?? 0;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return (unit === "B" ? value : value.toFixed(value < 10 ? 1 : 0)) + " " + unit;
    value /= 1024;
  }
}
function time(seconds) {
  if (seconds < 0.9995) return Math.round(seconds * 1000) + " ms";
  if (seconds < 60) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + Math.floor(seconds % 3600 / 60) + " min";
  return Math.floor(seconds / 86400) + " d " + Math.floor(seconds % 86400 / 3600) + " h";
}
const moment = (stamp) => stamp ? new Date(stamp).toLocaleString() : "–";
function say(words) { $("said").textContent = words; }
function complain(words) {
  $("problem").hidden = !words;
  text($("problem"), words || "");
}

// One export as a card; made once, then only what has changed is written.
function makeCard(name, isDetail) {
  const parts = {
    state: element("span", { class: "state" }),
    from: element("dd", { class: "mono" }), to: element("dd", { class: "mono" }),
    head: element("dd", { class: "mono" }), out: element("dd", { class: "mono" }),
    lag: element("dd"), next: element("dd"), nextName: element("dt", {}, "Next try"),
    bar: element("progress"), done: element("p", { class: "faint" }), doing: element("div", { hidden: true }),
    trouble: element("div", { class: "trouble", hidden: true }), message: element("p"), cure: element("p"),
    causes: element("p", { class: "faint" }), times: element("p", { class: "faint" }),
    start: element("button", { type: "button" }, "Start"), stop: element("button", { type: "button" }, "Stop"),
    run: element("button", { type: "button" }, "Run now"),
    chart: drawn("svg", { class: "chart", role: "img", viewBox: "0 0 300 40", preserveAspectRatio: "none" }),
  };
  parts.bar.setAttribute("aria-label", "Progress of " + name);
  parts.doing.append(parts.bar, parts.done);
  parts.trouble.append(parts.message, parts.cure, parts.causes, parts.times);
  for (const action of ["start", "stop", "run"]) {
    parts[action].setAttribute("aria-label", parts[action].textContent + " " + name);
    parts[action].addEventListener("click", () => act(name, action, parts[action]));
  }
  const link = element("a", {}, name);
  link.setAttribute("href", "#" + encodeURIComponent(name));
  const root = element(isDetail ? "div" : "li", { class: "card" },
    element("div", { class: "top" }, isDetail ? element("span", {}, "") : element("h3", {}, link), parts.state),
    element("dl", { class: "facts" },
      element("dt", {}, "From"), parts.from, element("dt", {}, "To"), parts.to,
      element("dt", {}, "Head"), parts.head, element("dt", {}, "Out"), parts.out,
      element("dt", {}, "Behind"), parts.lag, parts.nextName, parts.next),
    parts.doing, parts.trouble, parts.chart,
    element("div", { class: "buttons" }, parts.start, parts.stop, parts.run));
  return { root, parts, name };
}

function fillCard(card, view) {
  const parts = card.parts;
  const [kind, words] = STATES[view.state] || ["off", view.state];
  parts.state.className = "state " + kind;
  text(parts.state, words);
  text(parts.from, view.source + (view.branch ? " · " + view.branch : ""));
  text(parts.to, view.export_path);
  text(parts.head, short(view.head));
  text(parts.out, short(view.exported));
  parts.head.title = view.head || "";
  parts.out.title = view.exported || "";
  const error = view.error;
  parts.trouble.hidden = !error;
  if (error) {
    text(parts.message, error.message);
    text(parts.cure, error.cure ? "What helps: " + error.cure : "");
    text(parts.causes, error.causes.length ? "Because: " + error.causes.join(": ") : "");
    text(parts.times, error.since ? "since " + moment(error.since) + (error.times > 1 ? ", " + error.times + " times" : "") : "");
  }
  parts.start.hidden = view.enabled;
  parts.start.disabled = view.state === "broken";
  parts.stop.hidden = !view.enabled;
  parts.stop.disabled = view.state === "stopping";
  parts.run.disabled = !view.enabled || ["stopping", "broken"].includes(view.state);
  fillProgress(card, view.progress);
  fillClock(card, view);
  fillChart(parts.chart, view.recent);
}

function fillProgress(card, progress) {
  const parts = card.parts;
  parts.doing.hidden = !progress;
  if (!progress) { rates.delete(card.name); return; }
  const byBytes = progress.bytes_total > 0;
  const total = byBytes ? progress.bytes_total : progress.objects_total;
  if (total) {
    parts.bar.max = total;
    parts.bar.value = Math.min(byBytes ? progress.bytes : progress.objects, total);
  } else {
    parts.bar.removeAttribute("value");
  }
  const rate = rateOf(card.name, progress);
  const of = (done, all) => all == null ? done : done + " of " + all;
  text(parts.done, progress.phase + ": " + of(number(progress.objects), progress.objects_total == null ? null : number(progress.objects_total)) +
    " objects, " + of(size(progress.bytes), progress.bytes_total == null ? null : size(progress.bytes_total)) +
    (rate == null ? "" : ", " + size(Math.round(rate)) + "/s") + (progress.failed ? ", " + number(progress.failed) + " failed" : ""));
}
function rateOf(name, progress) {
  const last = rates.get(name);
  if (!last || last.run !== progress.run || progress.seconds < last.seconds) {
    rates.set(name, { run: progress.run, seconds: progress.seconds, bytes: progress.bytes, rate: null });
    return null;
  }
  const passed = progress.seconds - last.seconds;
  if (passed >= 0.2) {
    const now = (progress.bytes - last.bytes) / passed;
    last.rate = last.rate == null ? now : 0.7 * last.rate + 0.3 * now;
    last.seconds = progress.seconds;
    last.bytes = progress.bytes;
  }
  return last.rate;
}

function fillClock(card, view) {
  const parts = card.parts;
  const behind = view.behind_since ? Math.max(0, (Date.now() - Date.parse(view.behind_since)) / 1000) : 0;
  text(parts.lag, view.behind_since && view.enabled ? time(behind) : view.exported ? "not at all" : "–");
  parts.next.hidden = parts.nextName.hidden = !view.next_try;
  if (view.next_try) {
    const left = (Date.parse(view.next_try) - Date.now()) / 1000;
    text(parts.next, left > 0.5 ? "in " + time(left) : "now");
  }
}

// The last runs: the height is the time, the colour how it ended; the words say all of it.
function fillChart(chart, runs) {
  const key = runs.map((run) => run.finished_at).join();
  if (chart.dataset.key === key) return;
  chart.dataset.key = key;
  chart.replaceChildren();
  chart.classList.toggle("unseen", runs.length === 0);
  if (runs.length === 0) return;
  const longest = Math.max(...runs.map((run) => run.seconds), 0.001);
  chart.append(drawn("line", { class: "base", x1: 0, x2: 300, y1: 39.5, y2: 39.5 }));
  runs.forEach((run, at) => {
    const height = Math.max(2, 36 * run.seconds / longest);
    const good = run.result === "exported" || run.result === "mended";
    const title = drawn("title", {});
    title.textContent = moment(run.finished_at) + ": " + run.result + ", " + time(run.seconds) + ", " +
      number(run.put + run.copied + run.deleted) + " objects, " + size(run.bytes);
    chart.append(drawn("rect", { class: good ? "exported" : "failed", x: at * 10 + 1, width: 8, y: 39 - height, height }, title));
  });
  const last = runs[runs.length - 1];
  chart.setAttribute("aria-label", "The last " + runs.length + " runs; the newest " + last.result + " in " + time(last.seconds));
}

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
  if (before && view.state === "idle" && before.exported !== view.exported) say(view.name + ": " + short(view.exported) + " is out");
  if (view.name === detailName) showDetail(view);
}
function drop(name) {
  exportsByName.delete(name);
  cards.get(name)?.root.remove();
  cards.delete(name);
  if (name === detailName) route();
}
function arrange() {
  const wanted = $("search").value.toLowerCase();
  const seen = (view) => [view.name, view.source, view.branch || "", view.export_path].join("\n").toLowerCase().includes(wanted);
  const rank = (view) => IN_NEED.includes(view.state) ? 0 : 1;
  const views = [...exportsByName.values()].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  // Only what stands elsewhere than it should is moved: the focus stays where it is.
  let place = $("cards").firstElementChild;
  for (const view of views) {
    const root = cards.get(view.name).root;
    root.hidden = !seen(view);
    if (root === place) place = place.nextElementSibling;
    else $("cards").insertBefore(root, place);
  }
  const needy = views.filter((view) => rank(view) === 0).length;
  text($("counts"), number(views.length) + (needy ? ", " + number(needy) + " in need of attention" : ""));
  $("none").hidden = views.length > 0;
}

let arranging = false;
function arrangeSoon() {
  if (arranging) return;
  arranging = true;
  requestAnimationFrame(() => { arranging = false; arrange(); });
}

// The page of one export.
function route() {
  let name = null;
  try { name = decodeURIComponent(location.hash.slice(1)) || null; } catch { name = null; }
  const view = exportsByName.get(name);
  $("list").hidden = !!view;
  $("detail").hidden = !view;
  document.title = view ? view.name + " – lakesync" : "lakesync";
  if (!view) { detailName = null; detailCard = null; return; }
  if (detailName === view.name) return;
  detailName = view.name;
  detailCard = makeCard(view.name, true);
  runsShownFor = null;
  objectsNext = null;
  $("detail-card").replaceChildren(detailCard.root);
  $("objects").replaceChildren();
  $("more").hidden = false;
  text($("more"), "Show objects");
  text($("detail-title"), view.name);
  showDetail(view);
  $("detail-title").focus();
}
function showDetail(view) {
  fillCard(detailCard, view);
  const options = Object.entries(view.options).flatMap(([key, value]) =>
    [element("dt", {}, key), element("dd", { class: "mono" }, Array.isArray(value) ? value.join("\n") : String(value))]);
  $("options").replaceChildren(...options);
  $("warnings-part").hidden = view.warnings.length === 0;
  $("warnings").replaceChildren(...view.warnings.map((warning) => element("li", {}, warning)));
  const last = view.recent.length ? view.recent[view.recent.length - 1].finished_at : "";
  if (runsShownFor !== view.name + last) {
    runsShownFor = view.name + last;
    showRuns(view.name);
  }
}
async function showRuns(name) {
  try {
    const { runs } = await ask("GET", "/api/v1/exports/" + encodeURIComponent(name) + "/runs?limit=100");
    if (name !== detailName) return;
    $("runs").replaceChildren(...runs.map((run) => element("tr", {},
      element("td", {}, moment(run.finished_at)), element("td", {}, run.result), element("td", { class: "mono", title: run.commit }, short(run.commit)),
      element("td", {}, time(run.seconds)), element("td", {}, number(run.put)), element("td", {}, number(run.copied)),
      element("td", {}, number(run.deleted)), element("td", {}, number(run.failed)), element("td", {}, size(run.bytes)),
      element("td", {}, run.error || ""))));
    text($("runs-note"), runs.length ? "" : "No run yet.");
  } catch (error) {
    text($("runs-note"), "The runs cannot be shown: " + error.message);
  }
}
$("more").addEventListener("click", async () => {
  const name = detailName;
  try {
    const after = objectsNext ? "&after=" + encodeURIComponent(objectsNext) : "";
    const page = await ask("GET", "/api/v1/exports/" + encodeURIComponent(name) + "/records?limit=200" + after);
    if (name !== detailName) return;
    $("objects").append(...page.records.map((record) => element("tr", {},
      element("td", { class: "mono" }, record.path), element("td", {}, record.size == null ? "" : number(record.size)),
      element("td", { class: "mono" }, record.etag))));
    objectsNext = page.next;
    $("more").hidden = !page.next;
    text($("more"), "Show more objects");
  } catch (error) {
    objectsNext = null;
    $("objects").replaceChildren();
    complain("The objects cannot be shown: " + error.message);
  }
});

// Asking the server.
function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { "Authorization": "Bearer " + token } : {};
}
async function ask(method, path) {
  const response = await fetch(path, { method, headers: headers() });
  if (response.status === 401) askForToken();
  const body = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    const error = body && body.error;
    throw new Error(error ? error.message + (error.cure ? " (" + error.cure + ")" : "") : "the server answered " + response.status);
  }
  return body;
}
async function act(name, action, button) {
  button.disabled = true;
  try {
    take(await ask("POST", "/api/v1/exports/" + encodeURIComponent(name) + "/" + action));
    complain("");
    say({ start: "Started ", stop: "Stopped ", run: "Running " }[action] + name);
  } catch (error) {
    complain(name + ": " + error.message);
  } finally {
    const view = exportsByName.get(name);
    button.disabled = false;
    if (view) { take(view); arrangeSoon(); }
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
    if (value.name === detailName) fillProgress(detailCard, value);
  }
}
async function listen() {
  const control = new AbortController();
  // The server says something every 15 s; who is silent for longer is gone.
  let watchdog = setTimeout(() => control.abort(), 45000);
  try {
    const response = await fetch("/api/v1/events", { headers: headers(), signal: control.signal, cache: "no-store" });
    if (response.status === 401) { askForToken(); throw new Error("it asks for a token"); }
    if (!response.ok) throw new Error("the server answered " + response.status);
    text($("connection"), "Live");
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
  for (;;) {
    const began = Date.now();
    let why = "the server closed the connection";
    try { await listen(); } catch (error) { why = error.message; }
    if (Date.now() - began > 5000) delay = 1000;
    text($("connection"), refused ? "Waiting for the token" : "Not connected: " + why + "; trying again");
    await pause(refused ? 3600000 : delay);
    delay = Math.min(delay * 2, 15000);
  }
}

addEventListener("hashchange", route);
// The part behind the hash names an export, and one may be called "main".
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
$("search").addEventListener("input", arrange);
setInterval(() => {
  for (const [name, card] of cards) if (!card.root.hidden) fillClock(card, exportsByName.get(name));
  if (detailCard && exportsByName.has(detailName)) fillClock(detailCard, exportsByName.get(detailName));
}, 1000);
stayConnected();
