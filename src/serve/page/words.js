
"use strict";
// Every text from outside goes through textContent or an attribute that holds no code.
const $ = (id) => document.getElementById(id);

const STATES = {
  "broken": ["bad", "broken"], "stopped": ["off", "stopped"], "starting": ["busy", "starting"],
  "looking": ["busy", "reading the head"], "running": ["busy", "exporting"], "idle": ["good", "up to date"],
  "waiting-for-lease": ["wait", "waiting for the lease"], "retrying": ["bad", "failed, will try again"],
  "held": ["bad", "source is gone"], "stopping": ["wait", "stopping"],
};
const IN_NEED = ["broken", "held", "retrying", "waiting-for-lease"];
const PHASES = {
  "look": "Looking", "lock": "Taking the lease", "settle": "Settling what was left", "plan": "Comparing",
  "announce": "Announcing", "transfer": "Sending", "record": "Recording", "finish": "Finishing",
};
const RESULTS = {
  "exported": "good", "success": "good", "failed": "bad", "failure": "bad", "refused": "bad", "error": "bad",
  "lease-lost": "wait", "interrupted": "wait",
};

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === "class") made.className = value;
    else if (key.startsWith("aria-") || key.startsWith("data-") || key === "role" || key === "scope") made.setAttribute(key, value);
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
// Writes only what is another than before: what is selected or focused stays so.
function text(node, value) { if (node.textContent !== value) node.textContent = value; }
// A button that cannot be used now keeps the focus, which one that is `disabled` loses.
function allow(button, may) { button.setAttribute("aria-disabled", may ? "false" : "true"); }

// Commits of Git are long and differ soon; those of a directory begin with what they are.
function short(commit) {
  if (!commit) return "–";
  const bare = commit.replace(/^b3tree:/, "");
  return bare.length > 16 ? bare.slice(0, 12) : bare;
}
const number = (count) => (count ?? 0).toLocaleString("en");
const counted = (count, word) => number(count) + " " + word + (count === 1 ? "" : "s");
function size(bytes) {
  let value = bytes ?? 0;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return (unit === "B" ? value : value.toFixed(value < 10 ? 1 : 0)) + " " + unit;
    value /= 1024;
  }
}
function time(seconds) {
  if (seconds < 0.9995) return Math.round(seconds * 1000) + " ms";
  if (seconds < 59.5) return seconds.toFixed(seconds < 9.95 ? 1 : 0) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + Math.floor(seconds % 3600 / 60) + " min";
  return Math.floor(seconds / 86400) + " d " + Math.floor(seconds % 86400 / 3600) + " h";
}
// For clocks that tick: whole units only, so that a line does not flicker.
const ticking = (seconds) => seconds < 59.5 ? Math.max(0, Math.round(seconds)) + " s" : time(seconds);
function ago(stamp) {
  const seconds = (Date.now() - Date.parse(stamp)) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 59.5) return Math.round(seconds) + " s ago";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min ago";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h ago";
  return Math.floor(seconds / 86400) + " d ago";
}
// The year first: sorts by eye, and means one thing in every country.
function moment(stamp) {
  if (!stamp) return "–";
  const date = new Date(stamp);
  const two = (value) => String(value).padStart(2, "0");
  return date.getFullYear() + "-" + two(date.getMonth() + 1) + "-" + two(date.getDate()) + " " + clock(date);
}
function clock(date) {
  const two = (value) => String(value).padStart(2, "0");
  return two(date.getHours()) + ":" + two(date.getMinutes()) + ":" + two(date.getSeconds());
}
const objectsOf = (run) => run.put + run.copied + run.deleted;
function say(words) { $("said").textContent = words; }
function complain(words) {
  $("problem").hidden = !words;
  text($("problem"), words || "");
}
