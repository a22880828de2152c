
// The page of one export.
const MOST_LINES = 200;
let detailName = null;
let detailCard = null;
let optionsShown = null;
let runsShownFor = null;
let objectsNext = null;
let newestLine = null;
let logAsked = false;
let logAgain = false;

function route() {
  let name = null;
  try { name = decodeURIComponent(location.hash.slice(1)) || null; } catch { name = null; }
  const view = exportsByName.get(name);
  $("list").hidden = !!view;
  $("detail").hidden = !view;
  if (!view) {
    const before = detailName;
    detailName = detailCard = null;
    entitle();
    // Back where one came from.
    if (before && cards.has(before)) cards.get(before).root.querySelector("a").focus();
    return;
  }
  if (detailName === view.name) return;
  detailName = view.name;
  entitle();
  detailCard = makeCard(view.name, true);
  runsShownFor = optionsShown = objectsNext = newestLine = null;
  $("detail-card").replaceChildren(detailCard.root);
  for (const id of ["objects", "log", "runs"]) $(id).replaceChildren();
  $("runs-table").hidden = true;
  for (const id of ["log-note", "runs-note", "objects-note"]) text($(id), "");
  $("objects-table").hidden = true;
  $("more").hidden = false;
  text($("more"), "Show objects");
  text($("detail-title"), view.name);
  showDetail(view);
  showLog(view.name);
  $("detail-title").focus();
  scrollTo(0, 0);
}

function showDetail(view) {
  fillCard(detailCard, view);
  const shown = JSON.stringify(view.options);
  if (optionsShown !== shown) {
    optionsShown = shown;
    const options = Object.entries(view.options).flatMap(([key, value]) =>
      [element("dt", {}, key), element("dd", { class: "mono" }, Array.isArray(value) ? value.join("\n") : String(value))]);
    $("options").replaceChildren(...options);
  }
  $("warnings-part").hidden = view.warnings.length === 0;
  $("warnings").replaceChildren(...view.warnings.map((warning) => element("li", {}, warning)));
  const last = view.recent.length ? view.recent[view.recent.length - 1].finished_at : "";
  if (runsShownFor !== view.name + last) {
    runsShownFor = view.name + last;
    showRuns(view.name);
  }
  showLogSoon();
}

// What one says of a run, by the names of the columns: on a phone each stands before its value.
function runRow(run) {
  const cell = (label, properties, value) => element("td", { role: "cell", "data-label": label, ...properties }, value);
  return element("tr", { role: "row" },
    cell("Ended", {}, moment(run.finished_at)), cell("Result", { class: RESULTS[run.result] || "" }, run.result),
    cell("Commit", { class: "mono", title: run.commit }, short(run.commit)), cell("Time", {}, time(run.seconds)),
    cell("Sent", {}, number(run.put)), cell("Copied", {}, number(run.copied)), cell("Deleted", {}, number(run.deleted)),
    cell("Failed", {}, number(run.failed)), cell("Bytes", {}, size(run.bytes)),
    cell("What went wrong", { class: run.error ? "" : "empty" }, run.error || ""));
}
async function showRuns(name) {
  try {
    const { runs } = await ask("GET", "/api/v1/exports/" + encodeURIComponent(name) + "/runs?limit=100");
    if (name !== detailName) return;
    $("runs").replaceChildren(...runs.map(runRow));
    $("runs-table").hidden = runs.length === 0;
    text($("runs-note"), runs.length ? "" : "No run yet.");
  } catch (error) {
    text($("runs-note"), "The runs cannot be shown: " + error.message);
  }
}

// At most once a second, and once more where something came meanwhile.
async function showLogSoon() {
  if (logAsked) { logAgain = true; return; }
  logAsked = true;
  do {
    logAgain = false;
    if (detailName) await showLog(detailName);
    await new Promise((go) => setTimeout(go, 1000));
  } while (logAgain);
  logAsked = false;
}
async function showLog(name) {
  try {
    const { lines } = await ask("GET", "/api/v1/exports/" + encodeURIComponent(name) + "/log");
    if (name !== detailName) return;
    const known = lines.findLastIndex((line) => line.at + line.text === newestLine);
    const list = $("log");
    if (known < 0) list.replaceChildren();
    list.prepend(...lines.slice(known + 1).reverse().map(logRow));
    while (list.children.length > MOST_LINES) list.lastElementChild.remove();
    newestLine = lines.length ? lines[lines.length - 1].at + lines[lines.length - 1].text : null;
    text($("log-note"), lines.length ? "" : "Nothing was said since the server began.");
  } catch (error) {
    text($("log-note"), "The log cannot be shown: " + error.message);
  }
}
function logRow(line) {
  const at = element("time", { title: moment(line.at), dateTime: line.at }, clock(new Date(line.at)));
  const level = line.level === "info" ? [] : [element("strong", {}, line.level), " "];
  return element("li", { class: line.level }, at, " ", ...level, line.text);
}

$("more").addEventListener("click", async () => {
  const name = detailName;
  try {
    const after = objectsNext ? "&after=" + encodeURIComponent(objectsNext) : "";
    const page = await ask("GET", "/api/v1/exports/" + encodeURIComponent(name) + "/records?limit=200" + after);
    if (name !== detailName) return;
    $("objects").append(...page.records.map((record) => element("tr", {},
      element("td", { class: "mono" }, record.path), element("td", { class: "right" }, record.size == null ? "" : number(record.size)),
      element("td", { class: "mono" }, record.etag))));
    $("objects-table").hidden = $("objects").children.length === 0;
    text($("objects-note"), $("objects").children.length ? "" : "The status file names no object.");
    objectsNext = page.next;
    $("more").hidden = !page.next;
    text($("more"), "Show more objects");
  } catch (error) {
    objectsNext = null;
    $("objects").replaceChildren();
    $("objects-table").hidden = true;
    text($("more"), "Show objects");
    text($("objects-note"), "The objects cannot be shown: " + error.message);
  }
});
