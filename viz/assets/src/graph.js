// The drawn graph: pan and zoom, the numbers in its boxes, choosing a box by pointer or arrow keys.
import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import { $, array, el, graph, listen, number, state, tell } from "./data.js";
import { spark } from "./heat.js";
import { narrow } from "./sight.js";

export const svgs = [...document.querySelectorAll("svg.graph")];
export const svg = () => svgs[graph().drawing];
// By key, and where each stands: asking the browser for it in a loop would lay a large graph out again and again.
const nodes = new Map();
export const standing = () => {
  const one = svg();
  if (!nodes.has(one)) {
    const all = new Map();
    for (const node of one.querySelectorAll(".node")) {
      const [, x, y] = /translate\(([-\d.e]+),([-\d.e]+)\)/.exec(node.getAttribute("transform"));
      all.set(node.dataset.k, { node, x: +x + node.dataset.w / 2, y: +y + 29 });
    }
    nodes.set(one, all);
  }
  return nodes.get(one);
};
export const nodeOf = (key) => standing().get(key)?.node;
const zooms = new Map();

for (const one of svgs) {
  const inner = select(one).select(".zoom");
  const box = one.viewBox.baseVal;
  one.dataset.box = `${box.width} ${box.height}`;
  const z = zoom()
    .scaleExtent([0.05, 4])
    .clickDistance(4)
    .extent(() => [[0, 0], room()])
    .on("zoom", ({ transform }) => {
      inner.attr("transform", transform);
      if (one === svg()) narrow(one, standing(), transform, ...room());
    });
  zooms.set(one, z);
  select(one).call(z).on("dblclick.zoom", null);
  one.removeAttribute("viewBox");
  one.addEventListener("click", (event) => {
    const node = event.target.closest(".node");
    if (node) choose(node.dataset.k, { focus: true });
  });
}
const go = (transform) => zooms.get(svg()).transform(select(svg()), transform);
// The size of the place for the graph: asked for when it changes, since asking lays all out.
let wide = 0,
  high = 0;
const measure = () => {
  const r = $("canvas").getBoundingClientRect();
  [wide, high] = [r.width, r.height];
};
new ResizeObserver(() => {
  measure();
  if (wide && svg().__zoom) narrow(svg(), standing(), svg().__zoom, wide, high);
}).observe($("canvas"));
export const room = () => {
  if (!wide) measure();
  return [wide || 600, high || 400];
};
export const total = () => svg().dataset.box.split(" ").map(Number);

export function fit() {
  const [w, h] = room(),
    [W, H] = total(),
    k = Math.min(w / W, h / H, 1.4);
  go(zoomIdentity.translate((w - W * k) / 2, (h - H * k) / 2).scale(k));
}
const outputOf = () => graph().values.find((v) => v.kind === "output") ?? graph().values.at(-1);
// At first as wide as there is room for, from where the output stands.
export function start() {
  const [w, h] = room(),
    [W, H] = total(),
    all = Math.min(w / W, h / H),
    k = Math.min(1.15, Math.max(all, Math.min(w / W, 1), 0.7));
  const [x, y] = centre(outputOf().k);
  const low = h - 44,
    top = H * k <= low ? (low - H * k) / 2 : Math.min(0, Math.max(low - H * k, h / 2 - y * k)); // the legend stands below
  go(zoomIdentity.translate(W * k <= w ? (w - W * k) / 2 : w / 2 - x * k, top).scale(k));
}
export const centre = (key) => {
  const { x, y } = standing().get(key);
  return [x, y];
};
export function by(factor) {
  zooms.get(svg()).scaleBy(select(svg()), factor);
}
export function pan(dx, dy) {
  zooms.get(svg()).translateBy(select(svg()), dx, dy);
}
// Bring a box into sight, moving no more than needed.
export function follow(key) {
  const node = nodeOf(key);
  if (!node || state.view !== "graph") return;
  const [w, h] = room(),
    { k, x, y } = svg().__zoom,
    [p, q] = centre(key);
  if (k < 0.4) return go(zoomIdentity.translate(w / 2 - p * 0.8, h / 2 - q * 0.8).scale(0.8));
  const edge = Math.min(50, w / 8, h / 8),
    half = (node.dataset.w / 2) * k;
  const left = x + p * k - half,
    right = x + p * k + half,
    top = y + (q - 42) * k,
    bottom = y + (q + 42) * k;
  const dx = Math.max(0, edge - left) || Math.min(0, w - edge - right),
    dy = Math.max(0, edge - top) || Math.min(0, h - edge - bottom);
  if (dx || dy) pan(dx / k, dy / k);
}

export function choose(key, { focus = false, view = false } = {}) {
  if (!graph().byKey.has(key)) return;
  state.key = key;
  state.follow = false;
  if (view && state.view !== "graph") {
    state.view = "graph";
    tell("view");
  }
  tell("key");
  follow(key);
  if (focus) {
    const node = nodeOf(key);
    node.focus({ preventScroll: true });
  }
}

// The nearest box in the direction of an arrow key.
export function neighbour(key, dx, dy) {
  const [x, y] = centre(key);
  let best = null,
    least = Infinity;
  for (const v of graph().values) {
    if (v.k === key) continue;
    const [p, q] = centre(v.k),
      along = (p - x) * dx + (q - y) * dy,
      across = Math.abs((p - x) * dy + (q - y) * dx);
    if (along < 8) continue;
    const d = along + 2.2 * across;
    if (d < least) {
      least = d;
      best = v.k;
    }
  }
  return best;
}

function numbers() {
  const one = svg();
  for (const node of one.querySelectorAll(".node")) {
    const v = graph().byKey.get(node.dataset.k),
      place = node.querySelector(".numbers"),
      w = +node.dataset.w;
    place.replaceChildren();
    if (v.warn.length) {
      const mark = el(
        "g",
        { cls: "warn", transform: "translate(-9,-7)" },
        el("path", { d: "M9,0L18,16H0Z" }),
        el("text", { x: 9, y: 14 }, "!"),
        el("title", {}, v.warn.join("; ")),
      );
      place.append(mark);
      node.setAttribute("aria-label", `${node.querySelector("title").textContent}; warning: ${v.warn.join("; ")}`);
    } else node.setAttribute("aria-label", node.querySelector("title").textContent);
    const half = (w - 30) / 2;
    for (const [i, cls, x] of [
      [v.value, "v", 11],
      [v.grad, "g", w - 11 - half],
    ]) {
      const a = array(i);
      if (!a) {
        if (cls === "v") place.append(el("text", { cls: "num", x: 11, y: 44 }, "not kept"));
        continue;
      }
      const path = spark(i, half, 18);
      if (path) {
        place.append(
          el("path", { cls: `hist ${cls}`, d: path, transform: `translate(${x.toFixed(1)},31)` }),
          el("line", { cls: "base", x1: x, x2: x + half, y1: 49.5, y2: 49.5 }),
        );
      } else
        place.append(
          el(
            "text",
            { cls: cls === "g" ? "num g" : "num", x: cls === "g" ? w - 11 : x, y: 46 },
            `${cls === "g" ? "∂ " : ""}${a.d.length > 1 ? "nan/inf" : a.d.length ? number(a.d[0]) : "empty"}`,
          ),
        );
    }
  }
}

let drawn = null;
listen((what) => {
  if (what === "graph") {
    svgs.forEach((one, i) => {
      one.toggleAttribute("hidden", i !== graph().drawing);
    });
    numbers();
    if (drawn !== svg()) {
      drawn = svg();
      start();
    }
    $("simple").hidden = !graph().simple;
    $("simple").textContent = graph().simple ? `Laid out in plain rows: ${graph().simple}` : "";
  }
  if (what === "graph" || what === "key" || what === "quiz") {
    const first = state.key ?? outputOf().k; // Tab comes to it
    for (const node of svg().querySelectorAll(".node")) {
      const mine = node.dataset.k === state.key;
      node.classList.toggle("selected", mine);
      node.setAttribute("tabindex", node.dataset.k === first ? "0" : "-1");
      if (mine) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }
  }
});
