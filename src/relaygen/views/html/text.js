// What was written, by whom: the reasoning and the answer of a generation.

import { make, printable } from "./elements.js";
import { model, number } from "./figures.js";
import { mark } from "./segments.js";

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
