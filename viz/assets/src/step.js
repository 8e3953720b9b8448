// Forward and backward in steps: 0 nothing yet, 1..n the ops, then the seed, then the ops the other way.
import { $, array, el, graph, listen, number, shape, state, tell } from "./data.js";
import { follow, svg } from "./graph.js";

let timer = null;
const plan = () => {
  const g = graph();
  if (!g.plan) {
    const used = new Map();
    for (const v of g.values) for (const use of v.uses) used.set(`${use.op} ${use.i}`, { v, use });
    const back = [...g.order].reverse().filter((op) => op.inputs.some((_, i) => used.has(`${op.k} ${i}`)));
    g.plan = [
      { kind: "none" },
      ...g.order.map((op) => ({ kind: "forward", op })),
      { kind: "seed" },
      ...back.map((op) => ({ kind: "backward", op })),
      { kind: "done" },
    ];
    g.used = used;
    g.place = new Map(g.order.map((op, i) => [op.k, i]));
  }
  return g.plan;
};
export const last = () => plan().length - 1;

export function step(to) {
  state.follow = true;
  state.step = Math.max(0, Math.min(last(), to));
  tell("step");
}
export function play(on = timer === null) {
  clearInterval(timer);
  timer = null;
  if (on) {
    if (state.step === last()) step(0);
    timer = setInterval(() => {
      if (state.step >= last()) play(false);
      else step(state.step + 1);
    }, +$("speed").value);
  }
  $("play").textContent = timer === null ? "▶ Play" : "❚❚ Pause";
  $("play").setAttribute("aria-label", timer === null ? "Play" : "Pause");
}

function show() {
  const g = graph(),
    steps = plan(),
    at = state.step,
    now = steps[at],
    one = svg();
  const done = new Set(),
    grads = new Map();
  for (const v of g.values) if (!v.by) done.add(v.k);
  for (let k = 1; k <= at; k++) {
    if (steps[k].kind === "forward") done.add(steps[k].op.out);
    if (steps[k].kind === "seed") for (const v of g.values) if (v.kind === "output") grads.set(v.k, 0);
    if (steps[k].kind === "backward") for (const { v } of gives(steps[k].op)) grads.set(v.k, (grads.get(v.k) ?? 0) + 1);
  }
  const whole = now.kind === "done",
    backward = now.kind === "backward",
    forward = now.kind === "forward";
  const into = new Map();
  if (backward) for (const { v } of gives(now.op)) into.set(v.k, (into.get(v.k) ?? 0) + 1);
  for (const node of one.querySelectorAll(".node")) {
    const k = node.dataset.k,
      v = g.byKey.get(k),
      hides = state.quiz && !state.quiz.open(k);
    const set = (name, on) => node.classList.toggle(name, !!on);
    set("pending", !done.has(k));
    set("nograd", hides || !(whole || (grads.has(k) && (v.kind === "output" || grads.get(k) > 0))));
    set("active", (forward || backward) && now.op.out === k);
    set("receives", into.has(k) || (now.kind === "seed" && v.kind === "output"));
    set("adding", into.has(k) && grads.get(k) > 1);
  }
  for (const edge of one.querySelectorAll(".edge")) {
    const { f, t, i } = edge.dataset,
      mine = now.op?.out === t;
    edge.classList.toggle("pending", !done.has(t));
    edge.classList.toggle("forward", forward && mine);
    edge.classList.toggle(
      "flow",
      backward && mine && g.used.has(`${now.op.k} ${i}`) && g.used.get(`${now.op.k} ${i}`).v.k === f,
    );
  }
  $("slider").max = last();
  $("slider").value = at;
  $("slider").setAttribute(
    "aria-valuetext",
    `${at} of ${last()}: ${now.kind === "none" ? "start" : now.kind}${now.op ? ` ${now.op.symbol}` : ""}`,
  );
  for (const [id, off] of [
    ["first", at === 0],
    ["previous", at === 0],
    ["next", at === last()],
    ["last", at === last()],
  ])
    $(id).disabled = off;
  $("status").replaceChildren(...said(now, at, grads));
  // what a gradient flows to shall be seen, and above all the op that it flows through
  if (backward) for (const { v } of gives(now.op)) follow(v.k);
  if (now.op) follow(now.op.out);
}
// What an op gives its gradients to: {v, use, k}, k the how manieth use of v it is, as backward comes to it.
const gives = (op) => op.inputs.map((_, i) => graph().used.get(`${op.k} ${i}`)).filter(Boolean);
export const inputs = (op) => gives(op).map(({ v, use }) => ({ v, use, k: order(v).indexOf(use) + 1 }));
function order(v) {
  const place = graph().place;
  return [...v.uses].sort((a, b) => place.get(b.op) - place.get(a.op) || a.i - b.i);
}
// {kind, op, at, of}: which step is shown, counted among its kind.
export function current() {
  const steps = plan(),
    found = steps[state.step],
    alike = steps.filter((s) => s.kind === found.kind);
  return { ...found, at: alike.indexOf(found) + 1, of: alike.length };
}

function said(now, at, grads) {
  const g = graph(),
    code = (text) => el("code", {}, text);
  if (now.kind === "none") return ["Start: the leaves and constants are there, nothing has run yet."];
  if (now.kind === "done")
    return [`All ${g.order.length} ops have run forward and backward. Step through them here, or choose a box above.`];
  if (now.kind === "seed") return ["Backward begins: the gradient of the output by itself is ", code("1"), "."];
  const out = g.byKey.get(now.op.out);
  if (now.kind === "forward") {
    return [
      `Forward ${at} of ${g.order.length}: `,
      code(out.line),
      ` ${shape(out.shape)}${out.value !== null && !out.shape.length ? ` = ${number(array(out.value).d[0])}` : ""}`,
    ];
  }
  const first = plan().findIndex((s) => s.kind === "seed"),
    found = inputs(now.op);
  const parts = [`Backward ${at - first} of ${last() - first - 1}, through `, code(now.op.symbol), ": "];
  found.forEach(({ v, use, k }, i) => {
    const n = v.uses.length,
      summed = use.wide && shape(use.wide) !== shape(v.shape) ? `summed ${shape(use.wide)} → ${shape(v.shape)}` : "",
      note = [n > 1 ? `use ${k} of ${n}${k > 1 ? ", it adds up" : ""}` : "", use.part ? "" : summed].filter(Boolean);
    const said = state.quiz && !state.quiz.open(v.k) ? "?" : (use.part ?? "by the rule");
    parts.push(
      code(`d${v.var} ${k > 1 ? "+=" : "="} ${said}`),
      `${note.length ? ` (${note.join("; ")})` : ""}${i < found.length - 1 ? ",  " : ""}`,
    );
  });
  return parts;
}

listen((what) => {
  if (what === "graph") {
    state.step = Math.min(state.step, last());
    show();
  }
  if (what === "step" || what === "quiz") show();
});
$("first").addEventListener("click", () => {
  play(false);
  step(0);
});
$("previous").addEventListener("click", () => {
  play(false);
  step(state.step - 1);
});
$("next").addEventListener("click", () => {
  play(false);
  step(state.step + 1);
});
$("last").addEventListener("click", () => {
  play(false);
  step(last());
});
$("play").addEventListener("click", () => play());
$("slider").addEventListener("input", (event) => {
  play(false);
  step(+event.target.value);
});
$("speed").addEventListener("change", () => {
  if (timer !== null) play(true);
});
