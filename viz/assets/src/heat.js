// An array as a heat map whose numbers are read under the pointer or with the arrow keys, and as a histogram.
import { bin, extent, max } from "d3-array";
import { array, el, facts, number, shape } from "./data.js";
import { size } from "./nd.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const ENDS = {
  light: [
    [33, 102, 172],
    [247, 247, 247],
    [178, 24, 43],
  ],
  dark: [
    [92, 172, 245],
    [30, 37, 45],
    [255, 122, 110],
  ],
};

export const colour = (x, top) => {
  if (!Number.isFinite(x)) return [230, 170, 0];
  const [low, mid, high] = ENDS[dark.matches && !matchMedia("print").matches ? "dark" : "light"];
  const t = top ? Math.min(1, Math.abs(x) / top) ** 0.7 : 0,
    end = x < 0 ? low : high;
  return mid.map((m, k) => m + (end[k] - m) * t);
};
export const indexOf = (flat, s) => {
  const at = [];
  for (let i = s.length; i--;) {
    at.unshift(flat % s[i]);
    flat = Math.floor(flat / s[i]);
  }
  return at;
};

// Blue below 0, red above, as a strip with its ends.
export function scale(top) {
  const n = 61,
    strip = el("canvas", { cls: "strip", width: n, height: 1, "aria-hidden": "true" });
  const draw = () => {
    const context = strip.getContext("2d"),
      image = context.createImageData(n, 1);
    for (let k = 0; k < n; k++) image.data.set([...colour((k / (n - 1)) * 2 - 1, 1), 255], 4 * k);
    context.putImageData(image, 0, 0);
  };
  draw();
  redraw(draw, strip);
  return el("div", { cls: "scale" }, el("span", {}, number(-top)), strip, el("span", {}, number(top)));
}
// Draws anew when light turns to dark, as long as the picture is in the page.
function redraw(draw, canvas) {
  const again = () => (canvas.isConnected ? draw() : dark.removeEventListener("change", again));
  dark.addEventListener("change", again);
}

// Rows and columns of a heat map: those of a matrix; a vector, a column, or a part of an array runs on in lines.
function grid(a) {
  const n = a.d.length,
    last = a.s.at(-1) ?? 1;
  if (a.whole && last > 1 && last < n) return [n / last, last];
  const columns = n <= 100 ? n : n <= 2000 ? 50 : 128;
  return [Math.ceil(n / columns), columns];
}

// explain(flat): what else is said of the element, after its number.
export function heat(i, name, explain = () => "", kind = "v") {
  const a = array(i),
    box = el("figure", { cls: "heatmap" });
  if (!a)
    return el(
      "p",
      { cls: "sub" },
      "Its numbers are not known: the graph let go of them, and the leaves have changed since.",
    );
  const fact = facts(i),
    n = a.d.length;
  if (!n) return el("p", { cls: "sub" }, `No elements: its shape is ${shape(a.s)}.`);
  const read = el("output", { cls: "read", "aria-live": "polite" });
  if (n === 1 && a.whole) {
    read.textContent = `${name} = ${number(a.d[0], 7)} ${explain(0)}`;
    box.append(read);
    return box;
  }
  const line = el("div", { cls: "stats" });
  const parts = ["min", "max", "mean", "std", "norm", "zeros"].map((key) => [key, fact[key]]);
  if (fact.odd) parts.push(["nan or inf", fact.odd]);
  for (const [key, x] of parts) line.append(el("span", {}, `${key} `, el("b", {}, number(x))));
  const [rows, columns] = grid(a);
  const canvas = el("canvas", {
    cls: "heat",
    tabindex: "0",
    role: "img",
    width: columns,
    height: rows,
    "aria-label": `Heat map of ${name}, ${rows} rows and ${columns} columns; arrow keys read its numbers`,
  });
  const cell = Math.min(20, 380 / columns);
  canvas.style.height = `${Math.max(16, Math.min(300, rows * Math.max(cell, 3)))}px`;
  const top = max(a.d, (x) => (Number.isFinite(x) ? Math.abs(x) : 0));
  let at = 0,
    marked = false;
  const draw = () => {
    const context = canvas.getContext("2d"),
      image = context.createImageData(columns, rows);
    for (let k = 0; k < n; k++) {
      const [r, g, b] = marked && k === at ? [90, 220, 120] : colour(a.d[k], top);
      image.data.set([r, g, b, 255], 4 * k);
    }
    context.putImageData(image, 0, 0);
  };
  const point = (k) => {
    at = Math.max(0, Math.min(n - 1, k));
    marked = true;
    read.classList.remove("resting");
    draw();
    const flat = at * a.step;
    read.textContent = `${name}[${indexOf(flat, a.s).join(", ")}] = ${number(a.d[at], 6)} ${a.whole ? explain(flat) : ""}`;
  };
  const from = (event) => {
    const r = canvas.getBoundingClientRect();
    const c = Math.floor(((event.clientX - r.left) / r.width) * columns),
      q = Math.floor(((event.clientY - r.top) / r.height) * rows);
    point(Math.max(0, Math.min(rows - 1, q)) * columns + Math.max(0, Math.min(columns - 1, c)));
  };
  canvas.addEventListener("pointermove", from);
  canvas.addEventListener("pointerdown", from);
  canvas.addEventListener("focus", () => {
    if (!marked) point(at);
  });
  const leave = () => {
    if (document.activeElement === canvas) return;
    marked = false;
    draw();
    rest();
  };
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (move === undefined || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (at + move >= 0 && at + move < n) point(at + move);
  });
  redraw(draw, canvas);
  draw();
  const resting = a.whole
    ? "Point at a cell to read its number."
    : `${n.toLocaleString("en")} of ${size(a.s).toLocaleString("en")} elements are in this page, evenly taken.`;
  const rest = () => {
    read.textContent = resting;
    read.classList.add("resting");
  };
  rest();
  box.append(canvas, scale(top), read, line, histogram(a.d, kind));
  if (fact.odd) box.insertBefore(el("p", { cls: "sub" }, "Amber cells are nan or inf."), line);
  return box;
}

export function histogram(d, kind) {
  const finite = Array.from(d).filter(Number.isFinite);
  const svg = el("svg", {
    cls: "bars",
    viewBox: "0 0 380 51",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": "Histogram",
  });
  if (finite.length < 2) return svg;
  const [low, high] = extent(finite),
    n = 40,
    cuts = Array.from({ length: n - 1 }, (_, k) => low + ((high - low) * (k + 1)) / n);
  const bins =
    high > low ? bin().domain([low, high]).thresholds(cuts)(finite) : [Object.assign(finite, { x0: low, x1: high })];
  const most = max(bins, (b) => b.length);
  const x = (v) => (high > low ? ((v - low) / (high - low)) * 380 : 185);
  for (const b of bins)
    if (b.length) {
      const h = Math.max(1, (b.length / most) * 48),
        bar = el("rect", {
          cls: `hist ${kind}`,
          x: x(b.x0).toFixed(1),
          y: (50 - h).toFixed(1),
          width: Math.max(high > low ? 1 : 10, x(b.x1) - x(b.x0) - 1).toFixed(1),
          height: h.toFixed(1),
        });
      bar.append(el("title", {}, `${number(b.x0)} to ${number(b.x1)}: ${b.length}`));
      svg.append(bar);
    }
  svg.append(el("line", { cls: "base", x1: 0, x2: 380, y1: 50, y2: 50 }));
  const ends = high > low ? [low, high] : [low];
  return el(
    "div",
    { cls: "histogram" },
    svg,
    el("div", { cls: "ends" }, ...ends.map((x) => el("span", {}, number(x)))),
  );
}
// A histogram as one small path, for a box of the graph.
export function spark(i, w, h) {
  const a = array(i);
  if (!a || a.d.length < 2) return null;
  const finite = Array.from(a.d).filter(Number.isFinite);
  if (finite.length < a.d.length) return null;
  const [low, high] = extent(finite),
    n = 16,
    counts = new Array(n).fill(0);
  for (const x of finite) counts[high > low ? Math.min(n - 1, Math.floor(((x - low) / (high - low)) * n)) : n / 2]++;
  const most = Math.max(...counts),
    step = w / n;
  return `M0,${h}${counts.map((c, k) => `V${(h - (c / most) * h).toFixed(1)}H${((k + 1) * step).toFixed(1)}`).join("")}V${h}Z`;
}
