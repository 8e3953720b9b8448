// The graph on paper: a long one in columns, cut between the boxes; one too large for that leaves the page to the table.
import { $, el, graph } from "./data.js";
import { centre, room, standing, svg, total } from "./graph.js";
import { narrow, whole } from "./sight.js";

const TALL = 1.3, // a page's height by its width
  COLUMNS = 6,
  SMALLEST = 0.45; // how much smaller than a page full of columns a graph may be drawn

addEventListener("beforeprint", () => {
  const one = svg(),
    [W, H] = total(),
    inner = one.querySelector(".zoom"),
    n = Math.min(COLUMNS, Math.max(1, Math.ceil(Math.sqrt(H / (TALL * (W + 20))) - 0.1))),
    paper = el("div", { id: "paper" });
  one.dataset.zoom = inner.getAttribute("transform");
  $("canvas").append(paper);
  if ((TALL * n * (W + 20)) / (H / n) < SMALLEST) {
    paper.append(
      el("p", {}, `The graph of ${graph().values.length.toLocaleString("en")} boxes is too long for paper.`),
    );
    return;
  }
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
  whole(one);
  inner.removeAttribute("transform");
  for (let i = 0; i < n; i++) {
    const part = el("svg", { viewBox: `-10 ${cuts[i]} ${W + 20} ${cuts[i + 1] - cuts[i]}`, "aria-hidden": "true" }),
      use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `#${inner.id}`);
    part.append(use);
    part.style.width = `${100 / n}%`;
    paper.append(part);
  }
});
addEventListener("afterprint", () => {
  $("paper")?.remove();
  svg().querySelector(".zoom").setAttribute("transform", svg().dataset.zoom);
  narrow(svg(), standing(), svg().__zoom, ...room());
});
