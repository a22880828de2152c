
// One export as a card; made once, then only what has changed is written.
const rates = new Map();
const inFlight = new Set();

function makeCard(name, isDetail) {
  const parts = {
    state: element("span", { class: "state" }),
    from: element("dd", { class: "mono" }), to: element("dd", { class: "mono" }),
    head: element("dd", { class: "mono" }), out: element("dd", { class: "mono" }),
    lag: element("dd"), last: element("dd"), next: element("dd"), nextName: element("dt", {}, "Next try"),
    bar: element("progress"), done: element("p", { class: "done" }), doing: element("div", { class: "doing", hidden: true }),
    trouble: element("div", { class: "trouble", hidden: true }), message: element("p", { class: "message" }), cure: element("p"),
    causes: element("p", { class: "faint" }), times: element("p", { class: "faint" }),
    start: element("button", { type: "button", class: "main" }, "Start"), stop: element("button", { type: "button" }, "Stop"),
    run: element("button", { type: "button" }, "Run now"),
    charts: element("div", { class: isDetail ? "charts" : "charts one", hidden: true }),
  };
  parts.bar.setAttribute("aria-label", "Progress of " + name);
  parts.doing.append(parts.bar, parts.done);
  parts.trouble.append(parts.message, parts.cure, parts.causes, parts.times);
  const asked = isDetail ? MEASURES : MEASURES.slice(0, 1);
  parts.measures = asked.map((measure) => makeChart(measure));
  parts.charts.append(...parts.measures.map((chart) => chart.root));
  for (const action of ["start", "stop", "run"]) {
    parts[action].setAttribute("aria-label", parts[action].textContent + " " + name);
    parts[action].addEventListener("click", () => act(name, action, parts[action]));
  }
  const link = element("a", {}, name);
  link.setAttribute("href", "#" + encodeURIComponent(name));
  const root = element(isDetail ? "div" : "li", { class: "card", "data-export": name },
    element("div", { class: "top" }, isDetail ? element("span", { class: "faint" }, "State") : element("h3", {}, link), parts.state),
    parts.trouble, parts.doing,
    element("dl", { class: "facts" },
      element("dt", {}, "From"), parts.from, element("dt", {}, "To"), parts.to,
      element("dt", {}, "Head"), parts.head, element("dt", {}, "Exported"), parts.out,
      element("dt", {}, "Behind"), parts.lag, element("dt", {}, "Last run"), parts.last, parts.nextName, parts.next),
    parts.charts,
    element("div", { class: "buttons" }, parts.start, parts.stop, parts.run));
  return { root, parts, name };
}

function fillCard(card, view) {
  const parts = card.parts;
  const [kind, words] = STATES[view.state] || ["off", view.state];
  parts.state.className = "state " + kind;
  text(parts.state, words);
  card.root.classList.toggle("needy", IN_NEED.includes(view.state));
  text(parts.from, view.source ? view.source + (view.branch ? " · " + view.branch : "") : "–");
  text(parts.to, view.export_path || "–");
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
    text(parts.times, error.since ? "since " + moment(error.since) + (error.times > 1 ? ", " + error.times + " times in a row" : "") : "");
  }
  fillButtons(parts, view);
  fillProgress(card, view.progress);
  fillClock(card, view);
  parts.charts.hidden = view.recent.length === 0;
  for (const chart of parts.measures) fillChart(chart, view.recent);
}

function fillButtons(parts, view) {
  const focused = document.activeElement;
  const hadFocus = focused === parts.start || focused === parts.stop;
  parts.start.hidden = view.enabled;
  parts.stop.hidden = !view.enabled;
  allow(parts.start, view.state !== "broken");
  allow(parts.stop, view.state !== "stopping");
  allow(parts.run, view.enabled && !["stopping", "broken"].includes(view.state));
  // One takes the place of the other, under the finger and under the focus.
  if (hadFocus && focused.hidden) (view.enabled ? parts.stop : parts.start).focus();
}

function fillProgress(card, progress) {
  const parts = card.parts;
  parts.doing.hidden = !progress;
  if (!progress) { rates.delete(card.name); return; }
  const byBytes = progress.bytes_total > 0;
  const total = byBytes ? progress.bytes_total : progress.objects_total;
  const done = byBytes ? progress.bytes : progress.objects;
  if (total) {
    parts.bar.max = total;
    parts.bar.value = Math.min(done, total);
  } else {
    parts.bar.removeAttribute("value");
  }
  const rate = rateOf(card.name, progress);
  const words = [PHASES[progress.phase] || progress.phase];
  if (progress.objects_total != null) {
    words.push(number(progress.objects) + " of " + counted(progress.objects_total, "object"));
    if (byBytes) words.push(size(progress.bytes) + " of " + size(progress.bytes_total));
  }
  if (rate > 0) words.push(size(Math.round(rate)) + "/s");
  if (rate > 0 && byBytes && total > done) words.push("about " + ticking((total - done) / rate) + " left");
  if (progress.failed) words.push(number(progress.failed) + " failed");
  text(parts.done, words.join(" · "));
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
  const isBehind = view.enabled && view.behind_since;
  parts.lag.className = isBehind && IN_NEED.includes(view.state) ? "bad" : "";
  // Of a branch that nobody looks at nobody knows.
  text(parts.lag, view.state === "stopped" ? "not looked at while stopped" : isBehind ? ticking(behind) : view.exported ? "not at all" : "–");
  const run = view.recent[view.recent.length - 1];
  text(parts.last, run ? run.result + " " + ago(run.finished_at) + ": " + counted(objectsOf(run), "object") + ", " +
    size(run.bytes) + " in " + time(run.seconds) : "none since the server began");
  parts.next.hidden = parts.nextName.hidden = !view.next_try;
  if (view.next_try) {
    const left = (Date.parse(view.next_try) - Date.now()) / 1000;
    text(parts.next, left > 0.5 ? "in " + ticking(left) : "now");
  }
}

// The last runs: the height is what is measured, the colour how a run ended; the words say the ends of the scale.
const MEASURES = [
  { title: "Time", of: (run) => run.seconds, shown: time },
  { title: "Objects", of: objectsOf, shown: number },
  { title: "Bytes", of: (run) => run.bytes, shown: size },
];
const BARS = 30;
function makeChart(measure) {
  const picture = drawn("svg", { class: "chart", role: "img", viewBox: "0 0 300 40", preserveAspectRatio: "none" });
  const words = element("figcaption", { class: "faint" });
  return { root: element("figure", {}, picture, words), picture, words, measure, key: null };
}
function fillChart(chart, runs) {
  const key = runs.map((run) => run.finished_at).join();
  if (chart.key === key || runs.length === 0) return;
  chart.key = key;
  const { of, shown, title } = chart.measure;
  const most = Math.max(...runs.map(of));
  const bars = runs.map((run, at) => {
    const height = most > 0 ? Math.max(1.5, 37 * of(run) / most) : 1.5;
    const said = drawn("title", {});
    said.textContent = moment(run.finished_at) + ": " + run.result + ", " + time(run.seconds) + ", " +
      counted(objectsOf(run), "object") + ", " + size(run.bytes);
    const x = (BARS - runs.length + at) * 10 + 1;
    return drawn("rect", { class: RESULTS[run.result] || "off", x, width: 8, y: 39 - height, height }, said);
  });
  chart.picture.replaceChildren(drawn("line", { class: "base", x1: 0, x2: 300, y1: 39.5, y2: 39.5 }), ...bars);
  const last = runs[runs.length - 1];
  const words = title + (runs.length === 1 ? " of the last run: " + shown(of(last)) :
    " of the last " + number(runs.length) + " runs: " + shown(of(last)) + ", at most " + shown(most));
  text(chart.words, words);
  chart.picture.setAttribute("aria-label", words + "; the newest was " + last.result);
}
