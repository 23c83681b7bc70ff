// What a segment says of itself, wherever it is drawn: a card at the pointer, a finger or the focus.

import { draw, make, printable } from "./elements.js";
import { model, number, seconds, tokensOf } from "./figures.js";

const segmentOf = new WeakMap(), marksOf = new WeakMap();

/** An element stands for a segment. */
export function mark(element, segment) {
  element.dataset.segment = "";
  segmentOf.set(element, segment);
  const kind = element instanceof SVGElement ? "bar" : "text";
  marksOf.set(segment, { ...marksOf.get(segment), [kind]: element });
}

function ending(reason) {
  if (!reason) return "writing on";
  if (reason.startsWith("cue:")) return `handed over at “${printable(reason.slice(4, 60))}”`;
  const spoken = { sentence_end: "the sentence ended", reasoning_end: "the reasoning ended",
    eos: "end of the text" };
  return spoken[reason] ?? printable(reason.slice(0, 60)).replaceAll("_", " ");
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
export function explain(root) {
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
