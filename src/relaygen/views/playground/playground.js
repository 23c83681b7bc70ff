// The page's controls. What it asks for, and what it shows, is in the modules it imports.

import { ApiError, completion, models } from "./completions.js";
import { make, printable } from "./elements.js";
import { glance, labels } from "./figures.js";
import { Follower } from "./following.js";
import { Recording } from "./recording.js";
import { Comparison } from "./view.js";

const KEY = "relaygen.key";
const REDRAW_MS = 200;
const ASKED_FOR = { margins: true, trace: true }; // of the extension field, beside the policy
const field = (id) => document.getElementById(id);
let running = null; // the AbortController of what is being written

function say(text, isError = false) {
  field("status").textContent = printable(text);
  field("status").classList.toggle("error", isError);
  field("bar").classList.toggle("pinned", isError || Boolean(running));
}

// ---- what is asked ----

function checkedNumber(id) {
  const input = field(id);
  if (input.validity.valid) return input.value === "" ? undefined : Number(input.value);
  input.closest("details").open = true;
  input.focus();
  const name = input.closest("label").firstChild.textContent.trim();
  throw new ApiError(`${name}: ${input.validationMessage}`, 400);
}

function request() {
  const system = field("system").value.trim(), prompt = field("prompt").value.trim();
  if (!prompt) {
    field("prompt").focus();
    throw new ApiError("There is no question yet.", 400);
  }
  return {
    model: field("model").value,
    messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content: prompt }],
    temperature: checkedNumber("temperature"),
    max_completion_tokens: checkedNumber("max-tokens"),
    // A seed that is drawn here makes the runs of a comparison equal, and is in the download.
    return_token_ids: true, // how many there are, while they come
    seed: checkedNumber("seed") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  };
}

// ---- the answer ----

async function write(asked, policy, { recording, view, at, follower, signal }) {
  const column = view.columns[at];
  const relaygen = { ...ASKED_FOR, ...(policy ? { policy } : {}) };
  column.say("waiting for the first token");
  recording.begin();
  const redraw = () => {
    recording.tick();
    view.measure();
    field("glance").textContent = glance(recording.generation);
  };
  const redrawing = setInterval(redraw, REDRAW_MS);
  let begun = false;
  try {
    const key = field("key").value.trim();
    for await (const chunk of completion({ ...asked, relaygen }, { key, signal })) {
      const added = recording.add(chunk);
      for (const [segment, text] of added) column.write(segment, text);
      if (added.length && !begun) {
        begun = true;
        redraw();
        follower.begin(column.element);
      }
      if (begun) follower.follow();
    }
    recording.end();
  } catch (error) {
    if (error.name === "AbortError") recording.end("cancelled");
    else recording.end("error", error.message);
    if (error.name !== "AbortError" && !(error instanceof ApiError)) throw error;
  } finally {
    clearInterval(redrawing);
    field("glance").textContent = "";
    view.settle(at);
    if (begun) follower.follow();
  }
}

async function ask(policies) {
  if (running) return;
  let asked;
  try {
    asked = request();
  } catch (error) {
    say(error.message, true);
    return;
  }
  running = new AbortController();
  busy(true);
  const { signal } = running;
  const recordings = policies.map((policy) =>
    new Recording(policy || null, { ...asked, policy: policy || null }));
  const view = new Comparison(field("view"), recordings.map((recording) => recording.generation),
    { textFirst: true });
  const follower = new Follower(field("bar"));
  try {
    // One after another: at the same time, they would take time from each other.
    for (const [at, policy] of policies.entries()) {
      if (signal.aborted) {
        view.columns[at].say("not asked");
        continue;
      }
      say(policies.length > 1 ? `Asking, ${at + 1} of ${policies.length}.` : "Asking.");
      await write(asked, policy, { recording: recordings[at], view, at, follower, signal });
    }
  } finally {
    running = null;
    follower.end();
    busy(false);
  }
  finished(recordings.map((recording) => recording.generation), signal);
}

function finished(generations, signal) {
  const names = labels(generations);
  const reasons = generations.map(({ text, error }) => error && `${text ? "It broke off" : "No answer"}: ${error}`);
  const failures = new Set(reasons).size === 1 ? reasons.slice(0, 1).filter(Boolean)
    : reasons.flatMap((reason, at) => (reason ? [`${names[at]}: ${reason}`] : []));
  if (signal.aborted) say("Stopped.");
  else say(failures.join("\n") || "Done.", failures.length > 0);
  // Where there is nothing but failures, the question and the reason are all there is to see.
  if (generations.every(({ text, error }) => error && !text)) field("view").replaceChildren();
}

function busy(on) {
  const [send, compare, stop] = ["send", "compare", "stop"].map(field);
  const focused = document.activeElement; // a button that goes away would lose the focus
  if (on) stop.hidden = false;
  if (on && (focused === send || focused === compare)) stop.focus({ preventScroll: true });
  send.disabled = compare.disabled = on;
  if (!on && focused === stop) send.focus({ preventScroll: true });
  stop.hidden = !on;
  field("view").setAttribute("aria-busy", on);
}

// ---- the server's models, and the key ----

async function listModels() {
  try {
    const all = await models(field("key").value.trim());
    // "pair:large" is the pair "pair" under a policy, which has a control of its own.
    const names = all.filter((name) => !all.includes(name.replace(/:[^:]*$/, "")) || !name.includes(":"));
    field("model").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    say(names.length ? "" : "The server has no model.", !names.length);
  } catch (error) {
    const wantsKey = error.status === 401 || error.status === 403;
    if (wantsKey) field("key").closest("details").open = true;
    say(wantsKey ? `This server wants an API key: ${error.message}` : `No list of models: ${error.message}`, true);
  }
}

function keepKey() {
  if (field("keep").checked) sessionStorage.setItem(KEY, field("key").value.trim());
  else sessionStorage.removeItem(KEY);
}

field("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask([field("policy").value]);
});
field("compare").addEventListener("click", () => ask(["large", "small", "relay"]));
field("stop").addEventListener("click", () => running?.abort());
field("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field("ask").requestSubmit();
});
field("keep").addEventListener("change", keepKey);
field("key").addEventListener("change", () => {
  keepKey();
  listModels();
});
field("key").value = sessionStorage.getItem(KEY) ?? "";
field("keep").checked = Boolean(field("key").value);
listModels();
