// Of a large graph only what is in sight is drawn: the browser need not lay out thousands of boxes for each step.
const LARGE = 300, // boxes
  MARGIN = 150,
  FAR = 0.2; // a scale at which text cannot be read

const parts = new Map();
// {element, left, right, top, bottom} of the boxes and edges of an SVG, from where its boxes stand: {node, x, y} by key.
function partsOf(svg, standing) {
  if (!parts.has(svg)) {
    const all = [];
    for (const { node, x, y } of standing.values())
      all.push({
        element: node,
        left: x - node.dataset.w / 2,
        right: x + node.dataset.w / 2,
        top: y - 40,
        bottom: y + 40,
      });
    for (const element of svg.querySelectorAll(".edge")) {
      const a = standing.get(element.dataset.f),
        b = standing.get(element.dataset.t);
      all.push({
        element,
        left: Math.min(a.x, b.x) - MARGIN,
        right: Math.max(a.x, b.x) + MARGIN,
        top: Math.min(a.y, b.y),
        bottom: Math.max(a.y, b.y),
      });
    }
    for (const part of all) {
      part.off = false;
      part.reached = () => part.element.getAttribute("tabindex") === "0"; // by Tab
    }
    parts.set(svg, all);
  }
  return parts.get(svg);
}
const put = (part, off) => {
  if (part.off === off) return;
  part.off = off;
  part.element.classList.toggle("off", off);
};

// Leaves out what is not within w by h pixels under this transform.
export function narrow(svg, standing, { x, y, k }, w, h) {
  if (standing.size <= LARGE) return;
  svg.classList.toggle("far", k < FAR);
  const left = (-x - MARGIN) / k,
    right = (w - x + MARGIN) / k,
    top = (-y - MARGIN) / k,
    bottom = (h - y + MARGIN) / k;
  for (const part of partsOf(svg, standing))
    put(part, !part.reached() && (part.right < left || part.left > right || part.bottom < top || part.top > bottom));
}
// All of it, as for paper.
export function whole(svg) {
  svg.classList.remove("far");
  for (const part of parts.get(svg) ?? []) put(part, false);
}
