// Draws generations: who wrote what, when, and how sure it was.
//
// What a model writes is hostile. It enters the page as text nodes only: nothing here parses HTML.
// A generation is an object as `relaygen run --json` prints it.

const POLICIES = {
  relay: "Relay", large: "Large alone", small: "Small alone", random: "Random", paper: "Paper's rule",
};
const ENDINGS = {
  stop: "finished", length: "token limit", error: "broke off", cancelled: "stopped",
};
const SVG = "http://www.w3.org/2000/svg";

// Controls but tab and newline, and those that reverse the order of the text around them.
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

// ---- elements ----

/** An HTML element; strings among its children become text nodes. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Text with its control characters spelled out. */
export function printable(text) {
  return text.replace(CONTROLS, (c) => {
    const code = c.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}

// ---- figures ----

const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function seconds(value) {
  if (value < 0.01) return `${number(value * 1000, 1)} ms`;
  return value < 1 ? `${number(value * 1000)} ms` : `${number(value, value < 100 ? 1 : 0)} s`;
}

const told = (value, shown) => (value === null || value === undefined ? "–" : shown(value));
const model = (role) => (role ? `${role} model` : "model");
const tokensOf = (segment) => segment.token_ids?.length ?? null;

function ending(reason) {
  if (!reason) return "writing on";
  if (reason.startsWith("cue:")) return `handed over at “${printable(reason.slice(4, 60))}”`;
  const spoken = { sentence_end: "the sentence ended", reasoning_end: "the reasoning ended",
    eos: "end of the text" };
  return spoken[reason] ?? printable(reason.slice(0, 60)).replaceAll("_", " ");
}

/** A name for each generation: its policy's, numbered where several have the same. */
export function labels(generations) {
  const names = generations.map(({ trace }) => POLICIES[trace.policy] ?? printable(trace.policy ?? "Reply"));
  return names.map((name, at) => {
    const before = names.slice(0, at).filter((other) => other === name).length;
    return names.indexOf(name) !== names.lastIndexOf(name) ? `${name} ${before + 1}` : name;
  });
}

/** Tokens: as the server counts them, or as they came so far; null where nobody tells. */
function written({ usage, trace: { segments } }) {
  if (usage) return usage.completion_tokens;
  const known = segments.length > 0 && segments.every(({ token_ids: ids }) => ids);
  return known ? segments.reduce((sum, segment) => sum + tokensOf(segment), 0) : null;
}

function shareOfLarge({ trace: { utilisation, segments } }) {
  if (utilisation !== null && utilisation !== undefined) return utilisation;
  const total = written({ trace: { segments } });
  const large = segments.filter(({ role }) => role === "large");
  return total && segments.every(({ role }) => role) ? written({ trace: { segments: large } }) / total || 0 : null;
}

function handoffs({ trace: { handoffs: counted, segments } }) {
  if (counted !== null && counted !== undefined) return counted;
  const roles = segments.filter((segment) => tokensOf(segment) !== 0).map(({ role }) => role);
  const over = roles.filter((role, at) => role === "small" && roles[at - 1] === "large");
  return roles.length && roles.every(Boolean) ? over.length : null;
}

const perSecond = (generation) =>
  told(written(generation), (count) => number(count / (generation.trace.wall_s || 1)));

/** The figures of a generation that is being written, in a line; what is not known yet is left out. */
export function glance(generation) {
  const count = written(generation), share = shareOfLarge(generation), over = handoffs(generation);
  return [seconds(generation.trace.wall_s),
    ...(count ? [`${number(count)} ${count === 1 ? "token" : "tokens"}`, `${perSecond(generation)}/s`] : []),
    ...(share === null ? [] : [`${number(share * 100)}% large`]),
    ...(over === null ? [] : [`${number(over)} ${over === 1 ? "handoff" : "handoffs"}`])].join(" · ");
}

function ended({ finish_reason: reason, trace }) {
  if (reason === "error" && !trace.segments.length) return "no answer";
  return told(reason, () => ENDINGS[reason] ?? printable(reason));
}

const ROWS = [
  ["Time", (g) => told(g.trace.wall_s || null, seconds)],
  ["Tokens", (g) => told(written(g), number)],
  ["Tokens per second", perSecond],
  ["By the large model", (g) => told(shareOfLarge(g), (share) => `${number(share * 100)}%`)],
  ["Handoffs", (g) => told(handoffs(g), number)],
  ["Overrun tokens", (g) => told(g.trace.overrun_tokens, number)],
  ["Ended", ended],
];

/** Figures: a list for one generation, a table with a column each for several. */
export function figures(generations, names) {
  if (generations.length === 1) {
    const pairs = ROWS.map(([title, shown]) =>
      make("div", {}, make("dt", {}, title), make("dd", {}, shown(generations[0]))));
    return make("dl", { class: "figures" }, ...pairs);
  }
  const heads = names.map((name) => make("th", { scope: "col" }, name));
  const rows = ROWS.map(([title, shown]) => make("tr", {}, make("th", { scope: "row" }, title),
    ...generations.map((generation) => make("td", {}, shown(generation)))));
  return make("table", { class: "figures" },
    make("caption", { class: "unseen" }, "Time, tokens and handoffs"),
    make("thead", {}, make("tr", {}, make("td"), ...heads)), make("tbody", {}, ...rows));
}

// ---- the timeline ----

const LANE = 26, BAR = 16, AXIS = 22;

function ticks(span) {
  const rough = span / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  return Array.from({ length: Math.floor(span / step + 1e-9) + 1 }, (_, at) => at * step);
}

/** Who wrote when, on an axis of `span` seconds. */
export function timeline(generation, name, span) {
  const { segments } = generation.trace;
  const lanes = segments.some((segment) => segment.role) || !segments.length ? ["large", "small"] : [null];
  const height = lanes.length * LANE;
  const at = (time) => `${Math.min(100, (100 * time) / span).toFixed(3)}%`;
  const svg = draw("svg", { role: "img", "aria-label": spoken(generation, name),
    width: "100%", height: height + AXIS });
  for (const time of ticks(span)) {
    const near = time / span > 0.94 ? "end" : time ? "middle" : "start";
    svg.append(draw("line", { class: "tick", x1: at(time), x2: at(time), y1: 0, y2: height + 4 }),
      draw("text", { x: at(time), y: height + 18, "text-anchor": near }, time ? seconds(time) : "0"));
  }
  segments.forEach((segment, index) => {
    const y = Math.max(0, lanes.indexOf(segment.role)) * LANE + (LANE - BAR) / 2;
    const before = segments[index - 1];
    if (before && before.role !== segment.role) {
      svg.append(draw("line", { class: "handoff", x1: at(segment.started_s), x2: at(segment.started_s),
        y1: LANE / 2, y2: height - LANE / 2 }));
    }
    const first = segment.first_token_s ?? segment.ended_s;
    const bar = (from, to, part) => draw("rect", { class: part, x: at(from), y, height: BAR, rx: 1.5,
      width: `${Math.max(0.2, (100 * (to - from)) / span).toFixed(3)}%` });
    const group = draw("g", { class: `bar ${segment.role ?? "untold"}` },
      bar(segment.started_s, segment.ended_s, "waiting"), bar(first, segment.ended_s, "writing"));
    mark(group, segment);
    svg.append(group);
  });
  const names = lanes.map((role) => make("span", {}, role ?? "model"));
  return make("figure", { class: "timeline" }, make("figcaption", {}, name),
    make("div", { class: "lanes", "aria-hidden": "true" }, ...names), svg);
}

function spoken(generation, name) {
  const { wall_s: wall, utilisation, handoffs } = generation.trace;
  const share = told(utilisation, (value) => `${number(value * 100)}% of the tokens by the large model`);
  return `${name}: ${seconds(wall)}, ${told(handoffs, number)} handoffs, ${share}`;
}

/** The table and the timelines; all on one scale of time. */
export function overview(generations, names) {
  const span = Math.max(...generations.map((generation) => generation.trace.wall_s)) || 1;
  const lines = generations.map((generation, at) => timeline(generation, names[at], span));
  const note = make("p", { class: "soft" }, "Pale: the model reads, before its first token.");
  return [make("div", { class: "table" }, figures(generations, names)),
    make("div", { class: "timelines" }, ...lines, note)];
}

// ---- the text ----

/** The text of one stage. Its segments can take the focus; one tab stop, then the arrow keys. */
class Prose {
  #open = null; // the segment that is being written, and its span
  element;

  constructor(title) {
    this.element = make("div", { class: "prose", role: "group", dir: "auto",
      "aria-label": `${title}, by who wrote it; the arrow keys go from segment to segment` });
    this.element.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Adds text to a segment that may have begun before. */
  write(segment, text, isTag = false) {
    const shown = printable(this.element.firstChild ? text : text.trimStart());
    if (!shown) return;
    if (this.#open?.segment !== segment) {
      const role = segment.role ?? "untold";
      const span = make("span", { class: `segment ${role}`, role: "group", "aria-label": model(segment.role),
        tabindex: this.element.firstChild ? -1 : 0 });
      mark(span, segment);
      this.element.append(span);
      this.#open = { segment, span };
    }
    this.#open.span.append(isTag ? make("span", { class: "tag" }, shown) : shown);
  }

  /** Replaces all text; of `segments`, what is outside `inner` is reasoning tags. */
  settle(segments, inner) {
    this.element.replaceChildren();
    this.#open = null;
    const whole = segments.map((segment) => segment.text).join("");
    const from = Math.max(0, whole.indexOf(inner ?? ""));
    const to = whole.includes(inner ?? "") && inner ? from + inner.length : whole.length;
    let at = 0;
    for (const segment of segments) {
      const [start, end] = [from, to].map((cut) => Math.min(Math.max(cut - at, 0), segment.text.length));
      this.write(segment, segment.text.slice(0, start), true);
      this.write(segment, segment.text.slice(start, end));
      this.write(segment, segment.text.slice(end), true);
      at += segment.text.length;
    }
  }

  #move(event) {
    const all = [...this.element.children], here = all.indexOf(document.activeElement);
    const steps = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 };
    const next = all[steps[event.key]];
    if (!next) return;
    event.preventDefault();
    all[here]?.setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  }
}

/** One generation as a column: what went wrong, the reasoning, the answer. */
export class Column {
  #notes = make("div", { class: "notes" });
  #size = make("small");
  #reasoning = new Prose("Reasoning");
  #answer = new Prose("Answer");
  #fold;
  #heading = make("h3", {}, "Answer");
  #name = make("h2");
  #state = make("span", { class: "state" });

  constructor() {
    this.#fold = make("details", { class: "reasoning", open: "", hidden: "" },
      make("summary", {}, "Reasoning", this.#size), this.#reasoning.element);
    this.#heading.hidden = true;
    this.element = make("article", { class: "generation" }, make("header", {}, this.#name, this.#state),
      this.#notes, this.#fold, this.#heading, this.#answer.element);
  }

  /** Gives it a name, or another one. */
  rename(name) {
    this.#name.textContent = name;
    this.element.setAttribute("aria-label", name);
  }

  /** Says who is at work. */
  say(text, role = "") {
    this.#state.textContent = text;
    this.#state.className = `state ${role}`;
  }

  /** Adds text while it is written. */
  write(segment, text) {
    const inReasoning = segment.stage === "reasoning";
    (inReasoning ? this.#reasoning : this.#answer).write(segment, text);
    if (inReasoning) this.#fold.hidden = false;
    else this.#heading.hidden = false;
    this.say(`${model(segment.role)} writes`, segment.role ?? "");
  }

  /** Shows a generation that has ended. */
  settle(generation) {
    const { segments } = generation.trace;
    const staged = segments.some((segment) => segment.stage === "answer") || Boolean(generation.reasoning);
    const reasoning = staged ? segments.filter((segment) => segment.stage === "reasoning") : [];
    const rest = segments.filter((segment) => !reasoning.includes(segment));
    this.#reasoning.settle(reasoning, generation.reasoning);
    this.#answer.settle(rest, generation.answer);
    this.#fold.hidden = !reasoning.length;
    this.#heading.hidden = !rest.length;
    const count = generation.usage?.completion_tokens_details?.reasoning_tokens;
    this.#size.textContent = count ? `${number(count)} tokens` : "";
    this.#notes.replaceChildren(...remarks(generation));
    this.say("");
  }

  /** Folds or opens the reasoning. */
  fold(folded) {
    this.#fold.open = !folded;
  }
}

function remarks({ error, trace }) {
  const said = [];
  if (error) said.push(make("p", { class: "error", role: "alert" }, printable(error)));
  if (trace.small_lost) said.push(make("p", {}, "The small model failed on the way; the large one wrote on alone."));
  if (trace.failovers) said.push(make("p", {}, `Repeated after a failure: ${number(trace.failovers)}.`));
  if (trace.handoffs_left_out) {
    said.push(make("p", {}, "Handoffs left out because the small model was busy: "
      + `${number(trace.handoffs_left_out)}.`));
  }
  return said;
}

// ---- what a segment says of itself ----

const segmentOf = new WeakMap(), marksOf = new WeakMap();

function mark(element, segment) {
  element.dataset.segment = "";
  segmentOf.set(element, segment);
  const kind = element instanceof SVGElement ? "bar" : "text";
  marksOf.set(segment, { ...marksOf.get(segment), [kind]: element });
}

function card(segment) {
  const count = tokensOf(segment);
  const lines = [make("p", { class: "who" }, make("b", { class: segment.role ?? "untold" }, model(segment.role)),
    ` · ${segment.stage}`)];
  const size = count === null ? [] : [`${number(count)} ${count === 1 ? "token" : "tokens"}`];
  lines.push(make("p", {}, [...size, seconds(segment.ended_s - segment.started_s)].join(" in ")));
  const margins = (segment.margins ?? []).filter((value) => value !== null);
  if (margins.length) {
    const mean = margins.reduce((sum, value) => sum + value, 0) / margins.length;
    lines.push(make("p", {}, `margin ${number(mean, 2)} on average, ${number(Math.min(...margins), 2)} at least`),
      spark(segment.margins, segment.role));
  } else {
    lines.push(make("p", { class: "soft" }, "margins were not recorded"));
  }
  lines.push(make("p", { class: "soft" }, ending(segment.ended_by)));
  return lines;
}

/** Margins token by token, a bar each. */
function spark(margins, role) {
  const width = Math.max(1.5, Math.min(10, 240 / margins.length));
  const bars = margins.map((value, at) => draw("rect", { x: at * width, width: Math.max(1, width - 1),
    y: 28 * (1 - (value ?? 0)), height: Math.max(1, 28 * (value ?? 0)) }));
  return draw("svg", { class: `spark ${role ?? "untold"}`, "aria-hidden": "true", height: 28,
    width: "100%", viewBox: `0 0 ${Math.max(240, width * margins.length)} 28`, preserveAspectRatio: "none" }, ...bars);
}

/** The bar nearest to a place in a timeline; a finger is wider than most of them. */
function nearestBar(root, { clientX: x, clientY: y }) {
  const beyond = (from, to, at) => Math.max(from - at, 0, at - to);
  const away = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return Math.hypot(beyond(left, right, x), beyond(top, bottom, y));
  };
  const hit = [...root.querySelectorAll(".timeline svg")].find((svg) => away(svg) === 0);
  const bars = [...(hit?.querySelectorAll(".bar") ?? [])];
  return bars.reduce((best, bar) => (best && away(best) <= away(bar) ? best : bar), null);
}

/** Shows a card for the segment under the pointer, a finger or the focus; Escape or a tap elsewhere puts it away. */
function explain(root) {
  const box = make("div", { class: "card", role: "tooltip", id: "segment-card", hidden: "" });
  let shown = null, closing = 0;
  const lit = (on) => Object.values(marksOf.get(shown) ?? {}).forEach((m) => m.classList.toggle("current", on));
  const close = () => {
    lit(false);
    marksOf.get(shown)?.text?.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  };
  const open = (element) => {
    clearTimeout(closing);
    if (shown) close();
    shown = segmentOf.get(element);
    lit(true);
    if (!(element instanceof SVGElement)) element.setAttribute("aria-describedby", box.id);
    box.replaceChildren(...card(shown));
    box.hidden = false;
    place(box, element);
  };
  const at = (event) => event.target.closest?.("[data-segment]");
  const escape = (event) => {
    if (!box.isConnected) document.removeEventListener("keydown", escape); // replaced by another view
    else if (event.key === "Escape") close();
  };
  root.append(box);
  // Not pointerover: a page that scrolls under a resting pointer would open cards.
  root.addEventListener("pointermove", (event) => {
    const over = at(event), same = over && segmentOf.get(over) === shown;
    if (same || box.contains(event.target)) clearTimeout(closing);
    else if (over && event.pointerType !== "touch") open(over);
  });
  root.addEventListener("pointerout", (event) => {
    clearTimeout(closing);
    if (event.pointerType === "mouse") closing = setTimeout(close, 150);
  });
  root.addEventListener("click", (event) => {
    const tapped = nearestBar(root, event) ?? at(event);
    if (tapped) open(tapped);
    else if (!box.contains(event.target)) close();
  });
  root.addEventListener("focusin", (event) => at(event) && open(at(event)));
  root.addEventListener("focusout", (event) => at(event) && close());
  document.addEventListener("keydown", escape);
}

function place(box, element) {
  const line = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const left = Math.max(12, Math.min(line.left, width - box.offsetWidth - 12));
  const all = element.getBoundingClientRect(), below = all.bottom + 8;
  const top = below + box.offsetHeight < height ? below : Math.max(8, line.top - box.offsetHeight - 8);
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}

// ---- the whole ----

function legend() {
  const sample = (role) => make("span", { class: `segment ${role}` }, `written by the ${role} model`);
  return make("p", { class: "legend" }, sample("large"), sample("small"));
}

function save(data, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(data, null, 1)], { type: "application/json" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Generations side by side, with their figures and timelines: above them, or below where the text comes first. */
export class Comparison {
  #overview = make("section", { class: "overview", "aria-label": "Figures and timelines" });

  constructor(root, generations, { textFirst = false } = {}) {
    this.generations = generations;
    this.columns = generations.map(() => new Column());
    const fold = make("button", { type: "button", "aria-pressed": "false" }, "Fold reasoning");
    fold.addEventListener("click", () => {
      const folded = fold.getAttribute("aria-pressed") !== "true";
      fold.setAttribute("aria-pressed", folded);
      this.columns.forEach((column) => column.fold(folded));
    });
    const download = make("button", { type: "button" }, "Download JSON");
    download.addEventListener("click", () => this.#download());
    const tools = make("div", { class: "tools" }, fold, download);
    const texts = this.columns.map((column) => column.element);
    const columns = make("section", { class: "columns", "aria-label": "Text" }, ...texts);
    const parts = textFirst ? [columns, this.#overview] : [this.#overview, columns];
    const frame = make("div", {}, make("div", { class: "bar-of-tools" }, legend(), tools), ...parts);
    root.replaceChildren(frame);
    explain(frame);
    this.measure();
  }

  /** Draws the figures and timelines again. */
  measure() {
    const names = labels(this.generations); // a stream tells its policy at its end
    names.forEach((name, at) => this.columns[at].rename(name));
    this.#overview.classList.toggle("alone", names.length === 1);
    this.#overview.hidden = this.generations.every(({ trace }) => !trace.segments.length);
    this.#overview.replaceChildren(...overview(this.generations, names));
  }

  /** Shows a generation that has ended. */
  settle(at) {
    this.columns[at].settle(this.generations[at]);
    this.measure();
  }

  #download() {
    const alone = this.generations.length === 1;
    save(alone ? this.generations[0] : { generations: this.generations }, alone ? "trace.json" : "traces.json");
  }
}

function question(messages) {
  return (messages ?? []).filter(({ content }) => typeof content === "string").map(({ role, content }) =>
    make("div", { class: `message ${role === "user" ? "user" : "other"}` },
      make("h2", {}, role === "user" ? "Question" : `${printable(String(role))} message`),
      make("p", { dir: "auto" }, printable(content))));
}

/** Shows the generations that the page carries. */
export function showPage() {
  const { generations } = JSON.parse(document.getElementById("trace").textContent);
  document.getElementById("messages").replaceChildren(...question(generations[0].run?.messages));
  const view = new Comparison(document.getElementById("view"), generations);
  generations.forEach((_, at) => view.settle(at));
  addEventListener("beforeprint", () => view.columns.forEach((column) => column.fold(false)));
}
