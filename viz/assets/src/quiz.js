// The quiz: gradients are hidden, and asked for one after another, by formula, by choice, or by shape alone.
import { $, array, called, el, graph, listen, shape, state, tell } from "./data.js";
import { follow, svg } from "./graph.js";
import { judge } from "./judge.js";
import { colour } from "./heat.js";
import { Refused } from "./nd.js";

const MODES = { write: "write the formula", pick: "pick the formula", shape: "its shape (easy)" };
const kept = new Map(); // a quiz for each graph, as it was left

function begin() {
  if (!kept.has(state.g)) {
    const cards = new Map(
      graph().quiz.map((k) => [
        k,
        { solved: false, shown: false, hints: 0, tries: 0, text: "", points: 0, verdict: null },
      ]),
    );
    const quiz = {
      cards,
      mode: "write",
      at: graph().quiz[0],
      open: (k) => {
        const c = cards.get(k);
        return c ? c.shown || (c.solved && quiz.mode !== "shape") : graph().byKey.get(k).kind === "output";
      },
    };
    kept.set(state.g, quiz);
  }
  return kept.get(state.g);
}
export function toggle(on = !state.quiz) {
  if (on && !graph().quiz.length) on = false;
  state.quiz = on ? begin() : null;
  $("quiz-on").setAttribute("aria-pressed", String(!!on));
  if (on && state.view !== "graph" && state.view !== "table") {
    state.view = "graph";
    tell("view");
  }
  tell("quiz");
  if (on) follow(state.quiz.at);
}
const score = (quiz) => {
  const all = [...quiz.cards.values()];
  return `${all.filter((c) => c.solved).length} of ${all.length} solved, ${all.reduce((n, c) => n + c.points, 0)} points`;
};
const ask = (key) => {
  state.quiz.at = key;
  tell("quiz");
  follow(key);
};
export const next = () => {
  const keys = graph().quiz,
    quiz = state.quiz,
    i = keys.indexOf(quiz.at);
  const rest = [...keys.slice(i + 1), ...keys.slice(0, i)].find(
    (k) => !quiz.cards.get(k).solved && !quiz.cards.get(k).shown,
  );
  if (rest) ask(rest);
};

function settle(v, card, found) {
  card.tries++;
  if (found.right && !card.solved && !card.shown) {
    card.solved = true;
    card.points = Math.max(1, 3 - card.hints - (card.tries - 1));
  }
  card.verdict = found;
  tell("quiz");
  if (found.right) $("quiz-next")?.focus();
}
function check(v, card, text) {
  card.text = text;
  let found;
  try {
    found = judge(v, text);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    found = { right: false, lines: [`${error.message}.`] };
  }
  settle(v, card, found);
}
function checkShape(v, card, text) {
  card.text = text;
  const numbers = text
      .replace(/[()[\]\s]/g, "")
      .split(",")
      .filter(Boolean),
    right = numbers.join() === v.shape.join() && /^[\s\d,()[\]]*$/.test(text);
  settle(v, card, {
    right,
    lines: right
      ? ["A gradient has the shape of its value."]
      : [`d${v.var} has the shape of ${v.var}: not ${text.trim() || "empty"}. Look at its box.`],
  });
}

// Wrong ones that are wrong indeed, and the right one among them, in an order that stays.
function choices(v, card) {
  if (card.choices) return card.choices;
  const wrong = [];
  for (const text of v.wrong) {
    if (wrong.length === 3) break;
    try {
      if (!judge(v, text).right) wrong.push(text);
    } catch {
      wrong.push(text);
    }
  }
  const at = [...v.k].reduce((n, c) => (n * 31 + c.charCodeAt(0)) % 997, 7) % (wrong.length + 1);
  wrong.splice(at, 0, v.answer);
  return (card.choices = wrong);
}

function hints(v) {
  const g = graph(),
    uses = v.uses.map((u) => g.ops.get(u.op));
  const list = [
    `It is used in: ${v.lines.join("; ") || "ops without a name"}.`,
    ...new Set(uses.map((op) => `The rule of ${op.name}: ${op.formula}`)),
  ];
  if (v.uses.length > 1) list.push(`It is used ${v.uses.length} times: what each use gives adds up.`);
  for (const use of v.uses)
    if (use.wide && shape(use.wide) !== shape(v.shape))
      list.push(`It was broadcast from ${shape(v.shape)} to ${shape(use.wide)}: sum the gradient back.`);
  return list;
}

function difference(v, answer) {
  const E = array(v.grad),
    columns = E.s.length < 2 ? E.d.length : E.s.at(-1),
    rows = E.d.length / columns;
  if (!answer || answer.d.length !== E.d.length || E.d.length < 2) return null;
  const canvas = el("canvas", {
    cls: "heat",
    width: columns,
    height: rows,
    role: "img",
    "aria-label": "Heat map of your answer less the gradient",
  });
  canvas.style.height = `${Math.max(14, Math.min(160, rows * 5))}px`;
  const diff = E.d.map((x, i) => answer.d[i] - x),
    top = diff.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 0);
  const context = canvas.getContext("2d"),
    image = context.createImageData(columns, rows);
  diff.forEach((x, i) => image.data.set([...colour(x, top), 255], 4 * i));
  context.putImageData(image, 0, 0);
  return el("figure", {}, canvas, el("figcaption", { cls: "read" }, "your answer less the gradient"));
}

function draw() {
  const quiz = state.quiz,
    g = graph(),
    v = g.byKey.get(quiz.at),
    card = quiz.cards.get(quiz.at),
    easy = quiz.mode === "shape",
    n = g.quiz.indexOf(v.k);
  const pick = quiz.mode === "pick" && v.answer,
    out = [];
  out.push(el("h2", {}, "Quiz"), el("p", { cls: "score", id: "quiz-score", role: "status" }, score(quiz)));
  const mode = el(
    "select",
    {
      id: "quiz-mode",
      onchange: (e) => {
        quiz.mode = e.target.value;
        card.verdict = null;
        tell("quiz");
        $("quiz-mode").focus();
      },
    },
    ...Object.entries(MODES).map(([key, text]) => el("option", { value: key, selected: key === quiz.mode }, text)),
  );
  out.push(el("div", { cls: "row" }, el("label", { for: "quiz-mode" }, "Answer by: "), mode));
  out.push(
    el(
      "div",
      { cls: "dots", role: "group", "aria-label": "Questions" },
      ...g.quiz.map((k, i) => {
        const c = quiz.cards.get(k),
          name = called(g.byKey.get(k));
        return el(
          "button",
          {
            type: "button",
            cls: c.solved ? "solved" : c.shown ? "shown" : "",
            "aria-current": k === quiz.at ? "true" : null,
            "aria-label": `${i + 1}, d${name}${c.solved ? ", solved" : ""}`,
            title: `d${name}`,
            onclick: () => ask(k),
          },
          String(i + 1),
        );
      }),
    ),
  );
  out.push(el("h3", {}, `Question ${n + 1} of ${g.quiz.length}`));
  out.push(
    el(
      "p",
      { id: "quiz-question" },
      easy ? "What is the shape of " : "What is ",
      el("code", {}, `d${v.var}`),
      easy ? "" : `, the gradient of ${v.var} ${shape(v.shape)}`,
      "?",
    ),
  );
  out.push(el("div", { cls: "formula" }, v.lines.join("\n") || v.line));
  const done = card.solved || card.shown;
  if (pick) {
    const form = el("fieldset", { cls: "choices" }, el("legend", { cls: "sr" }, `d${v.var} is`));
    choices(v, card).forEach((text, i) =>
      form.append(
        el(
          "label",
          {},
          el("input", {
            type: "radio",
            name: "choice",
            value: i,
            checked: card.text === text,
            onchange: () => {
              card.text = text;
            },
          }),
          el("span", {}, text),
        ),
      ),
    );
    out.push(form);
  } else {
    const area = el(easy ? "input" : "textarea", {
      id: "quiz-answer",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      "aria-label": easy ? `Shape of d${v.var}` : `Formula for d${v.var}`,
      placeholder: easy ? "(32, 27)" : `d${v.var} = …`,
    });
    area.value = card.text;
    area.addEventListener("input", () => {
      card.text = area.value;
    });
    area.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey) {
        e.preventDefault();
        $("quiz-check").click();
      }
    });
    out.push(area);
    if (!easy)
      out.push(
        el(
          "p",
          { cls: "sub" },
          "numpy or torch style: ",
          el("code", {}, "(a * db).sum(0, keepdims=True)"),
          ", ",
          el("code", {}, "a.T @ db"),
          "; Enter checks, Shift+Enter makes a line",
        ),
      );
  }
  const go = el(
    "button",
    { type: "button", cls: "main", id: "quiz-check", onclick: () => (easy ? checkShape : check)(v, card, card.text) },
    "Check",
  );
  const hint = el(
    "button",
    {
      type: "button",
      id: "quiz-hint",
      disabled: card.hints >= hints(v).length,
      onclick: () => {
        card.hints++;
        tell("quiz");
        ($("quiz-hint").disabled ? $("quiz-show") : $("quiz-hint"))?.focus();
      },
    },
    "Hint",
  );
  const show = el(
    "button",
    {
      type: "button",
      id: "quiz-show",
      disabled: done,
      onclick: () => {
        card.shown = true;
        card.verdict = null;
        tell("quiz");
        $("quiz-next").focus();
      },
    },
    "Show it",
  );
  out.push(
    el(
      "div",
      { cls: "row" },
      go,
      hint,
      show,
      el("button", { type: "button", id: "quiz-next", onclick: next }, "Next question"),
    ),
  );
  const verdict = el("div", { id: "quiz-verdict", "aria-live": "polite" });
  if (card.verdict)
    verdict.append(
      el(
        "div",
        { cls: `verdict ${card.verdict.right ? "right" : "wrong"}` },
        el("p", {}, el("b", {}, card.verdict.right ? "Right. " : "Not yet. ")),
        ...card.verdict.lines.map((t) => el("p", {}, t)),
      ),
    );
  if (card.verdict && !card.verdict.right && !easy) {
    const d = difference(v, card.verdict.answer);
    if (d) verdict.append(d);
  }
  out.push(verdict);
  if (card.hints)
    out.push(
      el(
        "ol",
        { cls: "hints", id: "quiz-hints" },
        ...hints(v)
          .slice(0, card.hints)
          .map((t) => el("li", {}, t)),
      ),
    );
  if (card.shown || (card.solved && !easy))
    out.push(
      el("h3", {}, "One way to write it"),
      el(
        "div",
        { cls: "formula" },
        easy ? shape(v.shape) : (v.answer ?? "no formula: the op is not one of the engine's"),
      ),
    );
  $("side").setAttribute("aria-label", "Quiz");
  $("side").replaceChildren(...out);
}

listen((what) => {
  if (what === "graph" && state.quiz) state.quiz = graph().quiz.length ? begin() : null;
  if (what === "graph") {
    $("quiz-on").disabled = !graph().quiz.length;
    $("quiz-on").setAttribute("aria-pressed", String(!!state.quiz));
  }
  if (what === "key" && state.quiz) {
    if (state.quiz.cards.has(state.key)) {
      state.quiz.at = state.key;
    }
  }
  if (["graph", "quiz", "key"].includes(what)) {
    if (state.quiz) draw();
    for (const node of svg().querySelectorAll(".node")) {
      node.classList.toggle("asked", !!state.quiz && node.dataset.k === state.quiz.at);
      node.classList.toggle("solved", !!state.quiz && !!state.quiz.cards.get(node.dataset.k)?.solved);
    }
  }
});
$("quiz-on").addEventListener("click", () => toggle());
