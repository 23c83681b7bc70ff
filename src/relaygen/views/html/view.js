// Draws generations: who wrote what, when, and how sure it was.
//
// A generation is an object as `relaygen run --json` prints it.

import { make, printable } from "./elements.js";
import { labels } from "./figures.js";
import { explain } from "./segments.js";
import { Column } from "./text.js";
import { overview } from "./timeline.js";

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
