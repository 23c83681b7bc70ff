// The figures of a generation: how long, how many tokens, how much of it by the large model.

import { make, printable } from "./elements.js";

const POLICIES = {
  relay: "Relay", large: "Large alone", small: "Small alone", random: "Random", paper: "Paper's rule",
};
const ENDINGS = {
  stop: "finished", length: "token limit", error: "broke off", cancelled: "stopped",
};

export const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function seconds(value) {
  if (value < 0.01) return `${number(value * 1000, 1)} ms`;
  return value < 1 ? `${number(value * 1000)} ms` : `${number(value, value < 100 ? 1 : 0)} s`;
}

export const told = (value, shown) => (value === null || value === undefined ? "–" : shown(value));
export const model = (role) => (role ? `${role} model` : "model");
export const tokensOf = (segment) => segment.token_ids?.length ?? null;

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
