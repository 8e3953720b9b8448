// The quiz: gradients are hidden, and asked for one after another, by formula, by choice, or by shape alone.
import { $, called, el, graph, listen, shape, state, tell } from "./data.js";
import { difference, hints, usable } from "./aid.js";
import { answerOf } from "./detail.js";
import { follow, svg } from "./graph.js";
import { judge } from "./judge.js";

const MODES = { write: "write the formula", pick: "pick the formula", shape: "its shape (easy)" };
const kept = new Map(); // a quiz for each graph, as it was left

const cards = () =>
  new Map(
    graph().quiz.map((k) => [
      k,
      { solved: false, shown: false, hints: 0, tries: 0, text: "", points: 0, verdict: null },
    ]),
  );
function begin() {
  if (!kept.has(state.g)) {
    const all = Object.fromEntries(Object.keys(MODES).map((mode) => [mode, cards()]));
    const quiz = {
      mode: "write",
      at: graph().quiz[0],
      // its cards: those of the way of answering, for a shape is easier than a formula
      get cards() {
        return all[quiz.mode];
      },
      // whether its gradient is shown: it is found or given away, by formula
      open: (k) => {
        const mine = [all.write.get(k), all.pick.get(k)];
        return mine[0] ? mine.some((c) => c.shown || c.solved) : graph().byKey.get(k).kind === "output";
      },
      restart: () => {
        for (const mode in all) all[mode] = cards();
        quiz.at = graph().quiz[0];
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
// The next question that is neither solved nor shown, if there is one.
const rest = () => {
  const keys = graph().quiz,
    quiz = state.quiz,
    i = keys.indexOf(quiz.at);
  return [...keys.slice(i + 1), ...keys.slice(0, i)].find((k) => !quiz.cards.get(k).solved && !quiz.cards.get(k).shown);
};

function settle(v, card, found) {
  card.tries++;
  if (found.right && !card.solved && !card.shown) {
    const known = state.quiz.mode !== "shape" && state.quiz.open(v.k); // by another way of answering
    card.solved = true;
    card.points = known ? 0 : Math.max(1, 3 - card.hints - (card.tries - 1));
  }
  card.verdict = found;
  tell("quiz");
  if (found.right) $("quiz-next")?.focus();
}
function check(v, card, text) {
  card.text = text;
  settle(v, card, judge(v, text));
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
    if (!judge(v, text).right) wrong.push(text);
  }
  const at = [...v.k].reduce((n, c) => (n * 31 + c.charCodeAt(0)) % 997, 7) % (wrong.length + 1);
  wrong.splice(at, 0, v.answer);
  return (card.choices = wrong);
}

function ending(quiz) {
  const all = [...quiz.cards.values()],
    again = () => {
      quiz.restart();
      ask(quiz.at);
    };
  return el(
    "p",
    { cls: "note", id: "quiz-end" },
    `That was the last question: ${all.filter((c) => c.solved).length} of ${all.length} solved. `,
    el("button", { type: "button", id: "quiz-again", onclick: again }, "Start again"),
  );
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
      if (e.key === "Escape") area.blur();
      if (e.key !== "Enter" || e.shiftKey) return;
      e.preventDefault();
      const line = area.value.slice(0, area.selectionStart).split("\n").at(-1),
        indent = /^\s*/.exec(line)[0] + (/:\s*$/.test(line) ? "  " : "");
      // within a loop Enter begins the next line, as at Python's prompt; on an empty one it checks
      if (easy || e.ctrlKey || e.metaKey || !indent || !line.trim()) $("quiz-check").click();
      else {
        area.setRangeText(`\n${indent}`, area.selectionStart, area.selectionEnd, "end");
        card.text = area.value;
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
          ". Enter checks, Shift+Enter begins a new line.",
        ),
        usable(v),
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
      el(
        "button",
        { type: "button", id: "quiz-next", disabled: !rest(), onclick: () => rest() && ask(rest()) },
        "Next question",
      ),
    ),
  );
  if (done && !rest()) out.push(ending(quiz));
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
        easy
          ? shape(v.shape)
          : v.answer
            ? answerOf(v)
            : "There is no formula here for one of the ops; an answer is judged by its numbers.",
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
