// Gradient norms of the leaves over the graphs of a page, on a logarithmic axis, and as numbers.
import { $, array, called, el, facts, graphs, number } from "./data.js";
import { size } from "./nd.js";

const COLOURS = ["#3b82c4", "#d0632b", "#3d9a50", "#a05bc0", "#c0437a", "#7d7a2b", "#2b9a9a", "#8a6d55"];

export function norms() {
  if (graphs.length < 2) return;
  const names = [
    ...new Set(
      graphs.flatMap((g) => g.values.filter((v) => v.kind === "leaf" && v.name && v.grad !== null).map((v) => v.name)),
    ),
  ];
  const at = graphs.map((g) => new Map(g.values.map((v) => [v.name, v])));
  const series = names.map((name) => ({
    name: called(at.find((m) => m.has(name)).get(name)),
    points: at.map((m) => facts(m.get(name)?.grad ?? null)?.norm ?? null),
  }));
  const losses = graphs.map((g) => {
    const v = g.values.find((x) => x.kind === "output" && size(x.shape) === 1);
    return v && v.value !== null ? array(v.value).d[0] : null;
  });
  if (!series.some((s) => s.points.some((p) => p > 0))) return;
  $("tab-norms").hidden = false;
  const found = series.flatMap((s) => s.points).filter((x) => x > 0),
    low = Math.floor(Math.log10(Math.min(...found))),
    high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...found))));
  const W = 760,
    H = 380,
    left = 64,
    right = 130,
    top = 20,
    bottom = 46;
  const x = (i) => left + (i / (graphs.length - 1)) * (W - left - right),
    y = (v) => top + ((high - Math.log10(v)) / (high - low || 1)) * (H - top - bottom);
  const svg = el("svg", {
    cls: "chart",
    viewBox: `0 0 ${W} ${H}`,
    role: "img",
    "aria-label": "Gradient norms of the leaves, the numbers are in the table below",
  });
  for (let e = low; e <= high; e++)
    svg.append(
      el("line", { cls: "grid", x1: left, x2: W - right, y1: y(10 ** e), y2: y(10 ** e) }),
      el("text", { x: left - 8, y: y(10 ** e) + 4, "text-anchor": "end" }, `1e${e}`),
    );
  const every = Math.ceil(graphs.length / 8);
  graphs.forEach((g, i) => {
    if (i % every === 0 || i === graphs.length - 1)
      svg.append(el("text", { x: x(i), y: H - 18, "text-anchor": "middle" }, g.label));
  });
  const labels = [];
  series.forEach((s, j) => {
    const seen = s.points.map((p, i) => [i, p]).filter(([, p]) => p > 0),
      colour = COLOURS[j % COLOURS.length];
    if (!seen.length) return;
    svg.append(
      el("polyline", {
        points: seen.map(([i, p]) => `${x(i)},${y(p)}`).join(" "),
        fill: "none",
        stroke: colour,
        "stroke-width": 2,
        "stroke-dasharray": ["", "7 4", "2 3"][Math.floor(j / COLOURS.length) % 3],
      }),
    );
    for (const [i, p] of seen) svg.append(el("circle", { cx: x(i), cy: y(p), r: 3.5, fill: colour }));
    labels.push({ name: s.name, y: y(seen.at(-1)[1]), colour });
  });
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((l, i) => {
    l.y = Math.max(l.y, i ? labels[i - 1].y + 14 : top);
  });
  for (const l of labels)
    svg.append(
      el("circle", { cx: W - right + 14, cy: l.y, r: 4, fill: l.colour }),
      el("text", { cls: "lab", x: W - right + 23, y: l.y + 4 }, l.name),
    );
  const rows = [["output", losses], ...series.map((s) => [s.name, s.points])];
  $("view-norms").replaceChildren(
    el("h2", {}, "Gradient norms of the leaves"),
    svg,
    el(
      "div",
      { cls: "scroll", tabindex: "0", role: "region", "aria-label": "Gradient norms as numbers" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el("tr", {}, el("th", { scope: "col" }, "Leaf"), ...graphs.map((g) => el("th", { scope: "col" }, g.label))),
        ),
        el(
          "tbody",
          {},
          ...rows.map(([name, points]) =>
            el("tr", {}, el("th", { scope: "row" }, name), ...points.map((p) => el("td", {}, number(p)))),
          ),
        ),
      ),
    ),
  );
}
