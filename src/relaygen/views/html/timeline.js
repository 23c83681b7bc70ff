// Who wrote when.

import { draw, make } from "./elements.js";
import { figures, number, seconds, told } from "./figures.js";
import { mark } from "./segments.js";

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
