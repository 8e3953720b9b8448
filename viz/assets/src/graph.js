// The drawn graph: pan and zoom, the numbers in its boxes, choosing a box by pointer or arrow keys.
import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import { $, array, el, graph, graphs, listen, number, state, tell } from "./data.js";
import { spark } from "./heat.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
export const svgs = [...document.querySelectorAll("svg.graph")];
export const svg = () => svgs[graph().drawing];
// By key, and where each stands: asking the browser for it in a loop would lay a large graph out again and again.
const nodes = new Map();
const standing = () => {
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
    .on("zoom", ({ transform }) => inner.attr("transform", transform));
  zooms.set(one, z);
  select(one).call(z).on("dblclick.zoom", null);
  one.removeAttribute("viewBox");
  one.addEventListener("click", (event) => {
    const node = event.target.closest(".node");
    if (node) choose(node.dataset.k, { focus: true });
  });
}
const go = (transform) => zooms.get(svg()).transform(select(svg()), transform);
const room = () => {
  const r = $("canvas").getBoundingClientRect();
  return [r.width || 600, r.height || 400];
};
const total = () => svg().dataset.box.split(" ").map(Number);

export function fit() {
  const [w, h] = room(),
    [W, H] = total(),
    k = Math.min(w / W, h / H, 1.4);
  go(zoomIdentity.translate((w - W * k) / 2, (h - H * k) / 2).scale(k));
}
// At first as wide as there is room for, from where the output stands.
export function start() {
  const [w, h] = room(),
    [W, H] = total(),
    all = Math.min(w / W, h / H),
    k = Math.min(1.15, Math.max(all, Math.min(w / W, 1), 0.7));
  const out = graph().values.find((v) => v.kind === "output") ?? graph().values.at(-1),
    [x, y] = centre(out.k);
  const low = h - 44,
    top = H * k <= low ? (low - H * k) / 2 : Math.min(0, Math.max(low - H * k, h / 2 - y * k)); // the legend stands below
  go(zoomIdentity.translate(W * k <= w ? (w - W * k) / 2 : w / 2 - x * k, top).scale(k));
}
const centre = (key) => {
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
  const r = node.getBoundingClientRect(),
    c = $("canvas").getBoundingClientRect(),
    k = svg().__zoom.k;
  if (k < 0.4) {
    const [x, y] = centre(key);
    return go(zoomIdentity.translate(c.width / 2 - x * 0.8, c.height / 2 - y * 0.8).scale(0.8));
  }
  const edge = Math.min(50, c.width / 8, c.height / 8);
  const dx = Math.max(0, c.left + edge - r.left) || Math.min(0, c.right - edge - r.right),
    dy = Math.max(0, c.top + edge - r.top) || Math.min(0, c.bottom - edge - r.bottom);
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
    for (const node of svg().querySelectorAll(".node")) {
      const mine = node.dataset.k === state.key;
      node.classList.toggle("selected", mine);
      node.setAttribute("tabindex", mine || (!state.key && node === svg().querySelector(".node")) ? "0" : "-1");
      if (mine) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }
  }
});
// On paper a long graph stands in columns, cut between the boxes.
addEventListener("beforeprint", () => {
  const one = svg(),
    [W, H] = total(),
    inner = one.querySelector(".zoom"),
    n = Math.min(6, Math.max(1, Math.ceil(Math.sqrt(H / (1.3 * (W + 20))) - 0.1)));
  const tops = graph().values.map((v) => centre(v.k)[1] - 44),
    free = (y) => tops.every((t) => y < t || y > t + 84);
  const cuts = [0];
  for (let i = 1; i < n; i++) {
    let y = Math.round((H * i) / n),
      d = 0;
    while (!free(y + d) && Math.abs(d) < 90) d = d > 0 ? -d : -d + 2;
    cuts.push(free(y + d) ? y + d : y);
  }
  cuts.push(H);
  one.dataset.zoom = inner.getAttribute("transform");
  inner.removeAttribute("transform");
  const paper = el("div", { id: "paper" });
  for (let i = 0; i < n; i++) {
    const part = el("svg", { viewBox: `-10 ${cuts[i]} ${W + 20} ${cuts[i + 1] - cuts[i]}`, "aria-hidden": "true" }),
      use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `#${inner.id}`);
    part.append(use);
    part.style.width = `${100 / n}%`;
    paper.append(part);
  }
  $("canvas").append(paper);
});
addEventListener("afterprint", () => {
  $("paper")?.remove();
  svg().querySelector(".zoom").setAttribute("transform", svg().dataset.zoom);
});
export { calm, graphs };
