// Gradient norms of the leaves over the graphs of a page, on a logarithmic axis, and as numbers.
import { $, array, called, el, facts, graphs, listen, number, state } from "./data.js";
import { choose } from "./graph.js";
import { size } from "./nd.js";

const COLOURS = ["#3b82c4", "#d0632b", "#3d9a50", "#a05bc0", "#c0437a", "#7d7a2b", "#2b9a9a", "#8a6d55"];
const DASHES = ["", "7 4", "2 3"];
const W = 760,
  LEFT = 56,
  RIGHT = 150,
  TOP = 20,
  BOTTOM = 44,
  LINE = 15; // between two names at the right

// change(i): show graph i.
export function norms(change) {
  if (graphs.length < 2) return;
  const names = [
    ...new Set(
      graphs.flatMap((g) => g.values.filter((v) => v.kind === "leaf" && v.name && v.grad !== null).map((v) => v.name)),
    ),
  ];
  const at = graphs.map((g) => new Map(g.values.map((v) => [v.name, v])));
  const series = names.map((name, j) => ({
    name,
    short: called(at.find((m) => m.has(name)).get(name)),
    points: at.map((m) => facts(m.get(name)?.grad ?? null)?.norm ?? null),
    colour: COLOURS[j % COLOURS.length],
    dash: DASHES[Math.floor(j / COLOURS.length) % DASHES.length],
  }));
  const outputs = graphs.map((g) => {
    const v = g.values.find((x) => x.kind === "output" && size(x.shape) === 1);
    return v && v.value !== null ? array(v.value).d[0] : null;
  });
  if (!series.some((s) => s.points.some((p) => p > 0))) return;
  $("tab-norms").hidden = false;
  const pick = (name) => {
    const v = graphs[state.g].values.find((x) => x.name === name);
    if (v) choose(v.k);
  };
  const head = (i) =>
    el(
      "th",
      { scope: "col" },
      el(
        "button",
        { type: "button", "data-g": i, title: "Show this graph", onclick: () => change(i) },
        graphs[i].label,
      ),
    );
  const row = (name, points) =>
    el("tr", {}, el("th", { scope: "row" }, name), ...points.map((p) => el("td", {}, number(p))));
  const leaf = (s) => [el("button", { type: "button", onclick: () => pick(s.name) }, s.short)];
  $("view-norms").replaceChildren(
    el("h2", {}, "Gradient norms of the leaves"),
    el(
      "div",
      { cls: "scroll", tabindex: "0", role: "region", "aria-label": "Gradient norms as a chart" },
      chart(series),
    ),
    el(
      "p",
      { cls: "sub" },
      "The axis is logarithmic, and the graphs stand at equal distances. A norm of 0 has no point, and a line stops there.",
    ),
    el(
      "div",
      { cls: "scroll", tabindex: "0", role: "region", "aria-label": "Gradient norms as numbers" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Leaf"), ...graphs.map((_, i) => head(i)))),
        el(
          "tbody",
          {},
          ...series.map((s) => row(leaf(s)[0], s.points)),
          outputs.some((x) => x !== null) ? row("the output's value", outputs) : "",
        ),
      ),
    ),
  );
  const mark = () => {
    for (const node of $("view-norms").querySelectorAll("[data-g]"))
      node.classList.toggle("current", +node.dataset.g === state.g);
  };
  listen((what) => what === "graph" && mark());
  mark();
}

function chart(series) {
  const found = series.flatMap((s) => s.points).filter((x) => x > 0),
    low = Math.floor(Math.log10(Math.min(...found))),
    high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...found)))),
    H = Math.max(360, TOP + BOTTOM + series.length * LINE);
  const x = (i) => LEFT + (i / (graphs.length - 1)) * (W - LEFT - RIGHT),
    y = (v) => TOP + ((high - Math.log10(v)) / (high - low)) * (H - TOP - BOTTOM);
  const svg = el("svg", {
    cls: "chart",
    viewBox: `0 0 ${W} ${H}`,
    role: "img",
    "aria-label": "Gradient norms of the leaves; the numbers are in the table below",
  });
  const decades = Math.ceil((high - low) / 8);
  for (let e = high; e >= low; e -= decades)
    svg.append(
      el("line", { cls: "grid", x1: LEFT, x2: W - RIGHT, y1: y(10 ** e), y2: y(10 ** e) }),
      el("text", { x: LEFT - 8, y: y(10 ** e) + 4, "text-anchor": "end" }, `1e${e}`),
    );
  let free = -Infinity;
  graphs.forEach((g, i) => {
    svg.append(el("line", { cls: "here", "data-g": i, x1: x(i), x2: x(i), y1: TOP, y2: H - BOTTOM }));
    const half = g.label.length * 3.4 + 6; // leave a label out where it would touch the one before, or the last
    const room = i === graphs.length - 1 || x(i) + half < x(graphs.length - 1) - graphs.at(-1).label.length * 3.4;
    if (x(i) - half < free || !room) return;
    free = x(i) + half;
    svg.append(el("text", { x: x(i), y: H - 18, "text-anchor": "middle" }, g.label));
  });
  const labels = [];
  for (const s of series) {
    const runs = [[]];
    s.points.forEach((p, i) => (p > 0 ? runs.at(-1).push([i, p]) : runs.push([])));
    for (const run of runs.filter((r) => r.length)) {
      svg.append(
        el("polyline", {
          points: run.map(([i, p]) => `${x(i).toFixed(1)},${y(p).toFixed(1)}`).join(" "),
          fill: "none",
          stroke: s.colour,
          "stroke-width": 2,
          "stroke-dasharray": s.dash,
        }),
      );
      for (const [i, p] of run)
        svg.append(
          el(
            "circle",
            { cx: x(i).toFixed(1), cy: y(p).toFixed(1), r: 3.5, fill: s.colour },
            el("title", {}, `${s.short}, ${graphs[i].label}: ${number(p)}`),
          ),
        );
    }
    const last = runs.flat().at(-1);
    if (last) labels.push({ ...s, from: y(last[1]), y: y(last[1]) });
  }
  // names apart from each other: pushed down from the top, then up from the bottom
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((l, i) => (l.y = Math.max(l.y, i ? labels[i - 1].y + LINE : TOP)));
  for (let i = labels.length; i--;)
    labels[i].y = Math.min(labels[i].y, i === labels.length - 1 ? H - BOTTOM : labels[i + 1].y - LINE);
  for (const l of labels)
    svg.append(
      el("line", {
        stroke: l.colour,
        "stroke-width": 2,
        "stroke-dasharray": l.dash,
        x1: W - RIGHT + 10,
        x2: W - RIGHT + 30,
        y1: l.y,
        y2: l.y,
      }),
      el(
        "text",
        { cls: "lab", x: W - RIGHT + 36, y: l.y + 4 },
        l.short.length > 16 ? `${l.short.slice(0, 15)}…` : l.short,
      ),
    );
  return svg;
}
