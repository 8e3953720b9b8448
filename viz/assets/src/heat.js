// An array as a heat map whose numbers are read under the pointer or with the arrow keys, and as a histogram.
import { bin, max } from "d3-array";
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

// explain(flat): what else is said of the element, after its number.
export function heat(i, name, explain = () => "", kind = "v") {
  const a = array(i),
    box = el("figure", { cls: "heatmap" });
  if (!a) return el("p", { cls: "sub" }, "not kept: the graph let go of it and the leaves have changed since");
  const fact = facts(i);
  const line = el("div", { cls: "stats" });
  const parts =
    a.d.length === 1
      ? []
      : [
          ["min", fact.min],
          ["max", fact.max],
          ["mean", fact.mean],
          ["std", fact.std],
          ["norm", fact.norm],
          ["zeros", fact.zeros],
        ];
  if (fact.odd) parts.push(["nan or inf", fact.odd]);
  for (const [key, x] of parts) line.append(el("span", {}, `${key} `, el("b", {}, number(x))));
  if (!a.d.length) return el("p", { cls: "sub" }, `shape ${shape(a.s)}: no elements`);
  const read = el("output", { cls: "read", "aria-live": "polite" });
  if (a.d.length === 1) {
    read.textContent = `${name} = ${number(a.d[0], 7)} ${explain(0)}`;
    box.append(read);
    return box;
  }
  if (!a.whole) {
    box.append(
      line,
      el(
        "p",
        { cls: "note" },
        `${size(a.s).toLocaleString("en")} elements, of which ${a.d.length.toLocaleString("en")}, evenly taken, are in this page.`,
      ),
    );
    box.append(histogram(a.d, kind));
    return box;
  }
  const columns = a.s.length < 2 ? a.d.length : a.s.at(-1),
    rows = a.d.length / columns;
  const canvas = el("canvas", {
    cls: "heat",
    tabindex: "0",
    role: "img",
    width: columns,
    height: rows,
    "aria-label": `Heat map of ${name}, ${rows} rows and ${columns} columns; arrow keys read its numbers`,
  });
  const cell = Math.min(20, 380 / columns);
  canvas.style.height = `${Math.max(14, Math.min(300, rows * Math.max(cell, 3)))}px`;
  const top = max(a.d, (x) => (Number.isFinite(x) ? Math.abs(x) : 0));
  let at = 0,
    marked = false;
  const draw = () => {
    const context = canvas.getContext("2d"),
      image = context.createImageData(columns, rows);
    for (let k = 0; k < a.d.length; k++) {
      const [r, g, b] = marked && k === at ? [90, 220, 120] : colour(a.d[k], top);
      image.data.set([r, g, b, 255], 4 * k);
    }
    context.putImageData(image, 0, 0);
  };
  const point = (k) => {
    at = Math.max(0, Math.min(a.d.length - 1, k));
    marked = true;
    draw();
    read.textContent = `${name}[${indexOf(at, a.s).join(", ")}] = ${number(a.d[at], 6)} ${explain(at)}`;
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
    if (!marked) point(0);
  });
  canvas.addEventListener("pointerleave", () => {
    marked = false;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (at + move >= 0 && at + move < a.d.length) point(at + move);
  });
  dark.addEventListener("change", draw);
  draw();
  read.textContent = `${number(-top)} blue … 0 … red ${number(top)}`;
  box.append(canvas, read, line, histogram(a.d, kind));
  return box;
}

export function histogram(d, kind) {
  const finite = Array.from(d).filter(Number.isFinite);
  const svg = el("svg", {
    cls: "bars",
    viewBox: "0 0 380 64",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": "Histogram",
  });
  if (finite.length < 2) return svg;
  const bins = bin().thresholds(40)(finite),
    most = max(bins, (b) => b.length),
    low = bins[0].x0,
    high = bins.at(-1).x1;
  const x = (v) => ((v - low) / (high - low || 1)) * 380;
  for (const b of bins)
    if (b.length) {
      const h = Math.max(1, (b.length / most) * 48),
        bar = el("rect", {
          cls: `hist ${kind}`,
          x: x(b.x0).toFixed(1),
          y: (50 - h).toFixed(1),
          width: Math.max(1, x(b.x1) - x(b.x0) - 1).toFixed(1),
          height: h.toFixed(1),
        });
      bar.append(el2title(`${number(b.x0)} to ${number(b.x1)}: ${b.length}`));
      svg.append(bar);
    }
  svg.append(el("line", { cls: "base", x1: 0, x2: 380, y1: 50, y2: 50 }), el("text", { x: 0, y: 62 }, number(low)));
  const end = el("text", { x: 380, y: 62, "text-anchor": "end" }, number(high));
  svg.append(end);
  return svg;
}
const el2title = (text) => {
  const t = document.createElementNS("http://www.w3.org/2000/svg", "title");
  t.textContent = text;
  return t;
};

// A histogram as one small path, for a box of the graph.
export function spark(i, w, h) {
  const a = array(i);
  if (!a || a.d.length < 2) return null;
  const finite = Array.from(a.d).filter(Number.isFinite);
  const low = Math.min(...finite.slice(0, 1)),
    n = 16,
    counts = new Array(n).fill(0);
  let min = low,
    max_ = low;
  for (const x of finite) {
    if (x < min) min = x;
    if (x > max_) max_ = x;
  }
  for (const x of finite) counts[Math.min(n - 1, Math.floor(((x - min) / (max_ - min || 1)) * n))]++;
  const most = Math.max(...counts),
    step = w / n;
  return `M0,${h}${counts.map((c, k) => `V${(h - (c / most) * h).toFixed(1)}H${((k + 1) * step).toFixed(1)}`).join("")}V${h}Z`;
}
