"""The two pages that `serve` shows, and their scripts. Texts of users are set as text, never as HTML."""

STYLE = """
main { max-width: 76rem; margin: 0 auto; }
nav { display: flex; gap: 1rem; flex-wrap: wrap; margin-bottom: 1rem; }
a { color: var(--accent); }
pre { white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; }
iframe { width: 100%; height: 80vh; border: 1px solid var(--line); border-radius: .4rem; background: var(--back); }
.error { color: var(--bad); }
.desk { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
@media (max-width: 48rem) { .desk { grid-template-columns: minmax(0, 1fr); } }
.desk img { width: 100%; max-height: 70vh; object-fit: contain; image-rendering: pixelated; background: #000;
  border-radius: .4rem; }
.choices { display: flex; flex-direction: column; gap: .35rem; margin: 0 0 1rem; padding: 0; list-style: none; }
.choices button { width: 100%; display: flex; gap: .6rem; align-items: baseline; text-align: left;
  overflow-wrap: anywhere; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .45rem .7rem; cursor: pointer; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
button[aria-pressed="true"] { border-color: var(--accent); box-shadow: inset 0 0 0 2px var(--accent);
  font-weight: 600; }
kbd { font: .8rem ui-monospace, monospace; border: 1px solid var(--line); border-radius: .25rem; padding: 0 .35rem; }
.share { margin-left: auto; font-variant-numeric: tabular-nums; color: var(--soft); }
.blind .hint { visibility: hidden; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; margin: 0 0 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
dt, small { color: var(--soft); }
form { display: flex; gap: .5rem; flex-wrap: wrap; align-items: end; }
input { font: inherit; padding: .4rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--back);
  color: inherit; }
"""

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="stylesheet" href="style.css">
<script src="{{ script }}" defer></script>
</head>
<body><main>
BODY
</main></body>
</html>
"""

LIVE = """
<h1>{{ title }}</h1>
<nav><a href="label">label patches</a> <a href="report" target="_blank" rel="noopener noreferrer">report alone</a></nav>
<pre id="status" aria-live="polite">asking the run ...</pre>
<pre id="reviews" hidden></pre>
<p id="about">the report is being written ...</p>
<iframe id="report" title="report" sandbox="" hidden></iframe>
"""

LABEL = """
<h1>{{ title }}</h1>
<nav><a href="./">the report</a> <small id="folder" dir="auto"></small></nav>
<p id="said" role="status" aria-live="polite">opening the sheet ...</p>
<div class="desk" id="desk" hidden>
<figure><img id="picture" alt=""><figcaption><small id="at"></small></figcaption></figure>
<section>
<ul class="choices" id="choices"></ul>
<dl><dt>place</dt><dd id="place" dir="auto"></dd><dt>slide</dt><dd id="slide" dir="auto"></dd>
<dt>why</dt><dd id="why" class="hint" dir="auto"></dd></dl>
<p><kbd>1</kbd>...<kbd>9</kbd> <kbd>0</kbd> classes, <kbd>r</kbd> reject, <kbd>u</kbd> undo, <kbd>&larr;</kbd>
<kbd>&rarr;</kbd> move, <kbd>Del</kbd> blank, <kbd>n</kbd> next without a label,
<kbd>h</kbd> hide what the model says</p>
<form id="save"><label>your name<br><input id="by" maxlength="80" value="{{ by }}" autocomplete="off"></label>
<button id="look" type="button">what would it do?</button> <button type="submit">hand over</button></form>
</section>
</div>
<pre id="outcome" hidden></pre>
"""

LIVE_SCRIPT = """"use strict";
const at = (id) => document.getElementById(id);
let shown = "";
async function ask() {
  try {
    const state = await (await fetch("state")).json();
    at("status").textContent = state.status.join("\\n");
    at("reviews").textContent = state.reviews.join("\\n");
    at("reviews").hidden = state.reviews.length === 0;
    at("about").textContent = state.error || (state.busy ? "a newer report is being written ..." : "");
    at("about").className = state.error ? "error" : "";
    if (state.report && state.report !== shown) {
      shown = state.report;
      at("report").src = "report?" + encodeURIComponent(shown);
      at("report").hidden = false;
    }
  } catch (error) {
    at("about").textContent = "the program that serves this page does not answer";
  }
  setTimeout(ask, 3000);
}
ask();
"""

LABEL_SCRIPT = """"use strict";
const at = (id) => document.getElementById(id);
const DIGITS = "1234567890";
const GONE = "the program that serves this page does not answer: start it again, and open the address it prints";
let sheet = null, now = 0, done = [];

async function send(where, what) {
  const answer = await fetch(where, {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(what)}).catch(() => { throw new Error(GONE); });
  const found = await answer.json().catch(() => { throw new Error(GONE); });
  if (!answer.ok) throw new Error(found.error.join("\\n"));
  return found;
}
const say = (text, bad) => { at("said").textContent = text; at("said").className = bad ? "error" : ""; };
const name = (code) => code === null ? "blank" : code < 0 ? sheet.reject : sheet.classes[code];

function choice(code, key) {
  const item = document.createElement("li"), button = document.createElement("button");
  const hint = document.createElement("kbd"), text = document.createElement("bdi");
  const share = document.createElement("span");
  hint.textContent = key; text.textContent = name(code); share.className = "share hint";
  button.type = "button"; button.dataset.code = String(code);
  button.append(hint, text, share);
  button.addEventListener("click", () => set(code));
  item.append(button);
  return item;
}
function show() {
  const one = sheet.items[now];
  at("picture").src = "patch/" + one.id + ".png";
  at("picture").alt = "patch " + one.id;
  at("place").textContent = one.place; at("slide").textContent = one.slide || "unknown";
  at("why").textContent = one.why;
  const left = sheet.items.filter((item) => item.label === null).length;
  at("at").textContent = `${now + 1} of ${sheet.items.length}, ${left} without a label; patch ${one.id}`;
  for (const button of at("choices").querySelectorAll("button")) {
    const code = Number(button.dataset.code);
    button.setAttribute("aria-pressed", String(one.label === code));
    button.querySelector(".share").textContent = code < 0 ? "" : (100 * one.probs[code]).toFixed(0) + " %";
  }
}
function move(by) { now = Math.min(Math.max(now + by, 0), sheet.items.length - 1); show(); }
function next() {
  for (let step = 1; step <= sheet.items.length; step++) {
    const index = (now + step) % sheet.items.length;
    if (sheet.items[index].label === null) { now = index; show(); return; }
  }
  show(); say("every patch has a label: hand them over below");
}
let last = Promise.resolve();
function put(index, code) {
  const one = sheet.items[index], before = one.label;
  one.label = code;
  // one after the other, so that the last key wins
  last = last.then(() => send("label", {id: one.id, code: code})).catch((error) => {
    if (sheet.items[index] !== one) return;
    if (one.label === code) one.label = before;  // what is not on the sheet is not shown as if it were
    now = index;
    show();
    say(`${one.id}: ${name(code)} is not written: ${error.message}`, true);
  });
}
function set(code) {
  done.push([now, sheet.items[now].label]);
  put(now, code);
  say(`${sheet.items[now].id}: ${name(code)}`);
  if (code === null) show(); else next();
}
function undo() {
  const before = done.pop();
  if (!before) { say("nothing to undo"); return; }
  put(before[0], before[1]);
  now = before[0];
  say(`${sheet.items[now].id}: ${name(before[1])} again`);
  show();
}
document.addEventListener("keydown", (event) => {
  if (!sheet || !sheet.items.length || event.target.tagName === "INPUT") return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return;  // a key held down speaks of one patch, not of the next
  const digit = DIGITS.indexOf(event.key);
  if (digit >= 0 && digit < sheet.classes.length) set(digit);
  else if (event.key === "r") set(-1);
  else if (event.key === "u") undo();
  else if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight") move(1);
  else if (event.key === "Delete" || event.key === "Backspace") set(null);
  else if (event.key === "n") next();
  else if (event.key === "h") at("desk").classList.toggle("blind");
  else return;
  event.preventDefault();
});
async function save(dry) {
  try {
    await last;
    const found = await send("save", {by: at("by").value, dry: dry});
    at("outcome").hidden = false; at("outcome").className = ""; at("outcome").textContent = found.lines.join("\\n");
    if (!dry) { done = []; say("handed over"); await open(); }
  } catch (error) {
    at("outcome").hidden = false; at("outcome").className = "error"; at("outcome").textContent = error.message;
  }
}
at("look").addEventListener("click", () => save(true));
at("save").addEventListener("submit", (event) => { event.preventDefault(); save(false); });
async function open() {
  const answer = await fetch("items"), found = await answer.json();
  if (!answer.ok) { say(found.error.join("\\n"), true); return; }
  sheet = found;
  at("folder").textContent = sheet.folder;
  at("choices").replaceChildren(
    ...sheet.classes.map((_, code) => choice(code, DIGITS[code] || "")), choice(-1, "r"));
  at("desk").hidden = sheet.items.length === 0;
  now = Math.max(sheet.items.findIndex((item) => item.label === null), 0);
  if (!sheet.items.length) { say("no patch is left to ask about"); return; }
  say(`${sheet.items.length} patches` + sheet.aside.map((folder) =>
    `; the labels in ${folder} are of patches that this run no longer has: they stay there`).join(""));
  show();
}
open();
"""
