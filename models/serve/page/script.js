// The page asks the server that it came from, and nobody else. What comes back is put in as text, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 8; // bars

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const detail = found.detail;
  throw new Error(typeof detail === "string" ? detail : (detail?.[0]?.msg ?? `the server says ${answer.status}`));
}

const start = () => $("start").value.trim();
const temperature = () => Number($("temperature").value);

function say(problem) {
  $("problem").textContent = problem;
  if (problem) $("start").setAttribute("aria-invalid", "true");
  else $("start").removeAttribute("aria-invalid");
}

function named(name, begins) {
  const item = document.createElement("li");
  if (begins && name.startsWith(begins)) {
    const strong = document.createElement("b");
    strong.textContent = begins;
    item.append(strong, name.slice(begins.length));
  } else {
    item.append(name || "(no letters)");
  }
  return item;
}

let turn = 0; // only the newest answer is shown
async function make(event) {
  event?.preventDefault();
  const mine = ++turn;
  $("names").classList.add("waiting");
  const begins = start();
  const began = performance.now();
  try {
    const found = await ask("/api/names", { n: Number($("count").value), start: begins, temperature: temperature() });
    if (mine !== turn) return;
    say("");
    const lower = begins.toLowerCase().normalize("NFC");
    $("names").replaceChildren(...found.names.map((name) => named(name, lower)));
    const n = found.names.length;
    const took = Math.round(performance.now() - began);
    $("status").textContent = `${n} ${n === 1 ? "name" : "names"} in ${took} ms, seed ${found.seed}`;
    $("copy").hidden = false;
  } catch (error) {
    if (mine === turn) say(error.message);
  } finally {
    if (mine === turn) $("names").classList.remove("waiting");
  }
}

function bar(character, share, part) {
  const item = document.createElement("li");
  const what = document.createElement("span");
  what.textContent = character === "." ? "end" : character;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("height", "10");
  rect.setAttribute("width", String(100 * part));
  svg.append(rect);
  const number = document.createElement("span");
  number.className = "share";
  number.textContent = `${(100 * share).toFixed(1)}%`;
  item.append(what, svg, number);
  return item;
}

let look = 0;
async function next() {
  const mine = ++look;
  try {
    const found = await ask("/api/next", { start: start(), temperature: temperature() });
    if (mine !== look) return;
    say("");
    $("bars").replaceChildren(
      ...found.characters
        .slice(0, SHOWN)
        .map((character, i) => bar(character, found.probabilities[i], found.probabilities[i] / found.probabilities[0])),
    );
    const begins = start();
    $("next-title").textContent = begins ? `After “${begins}” comes` : "A name begins with";
  } catch (error) {
    if (mine === look) say(error.message);
  }
}

let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(next, 150);
}

$("form").addEventListener("submit", make);
$("start").addEventListener("input", soon);
$("temperature").addEventListener("input", () => {
  $("temperature-value").textContent = temperature().toFixed(2);
  soon();
});
$("count").addEventListener("input", () => {
  $("count-value").textContent = $("count").value;
});
$("copy").addEventListener("click", async () => {
  const names = [...$("names").children].map((item) => item.textContent).join("\n");
  try {
    await navigator.clipboard.writeText(names);
    $("copy").textContent = "Copied";
  } catch {
    $("copy").textContent = "Not allowed here";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
});

async function about() {
  const answer = await fetch("/api/model");
  if (!answer.ok) return;
  const model = await answer.json();
  const trained = model.steps ? `, ${model.steps.toLocaleString("en")} steps of training` : "";
  const loss = model.val_loss ? `, validation loss ${model.val_loss.toFixed(3)}` : "";
  $("about").textContent =
    `A network of ${model.parameters.toLocaleString("en")} parameters that looks at ${model.context} ` +
    `${model.context === 1 ? "character" : "characters"} to guess the next${trained}${loss}.`;
}

about();
next();
make();
