// Chunks of a stream, put together as the object that `relaygen run --json` prints.
//
// While the stream runs, times are those of this page. The last chunk brings the server's own trace
// where the server is a RelayGen gateway; another server's stream keeps this page's.

/** One generation that is being written. */
export class Recording {
  #began = 0;
  #concluded = false; // the gateway's trace is there
  #place = null; // the gateway's number of the segment that is being written

  constructor(policy, run) {
    this.generation = {
      text: "", reasoning: "", answer: "", finish_reason: null, error: null, usage: null,
      trace: { policy, wall_s: 0, utilisation: null, handoffs: null, overrun_tokens: null, segments: [] },
      run,
    };
  }

  /** Starts the clock. */
  begin() {
    this.#began = performance.now();
  }

  /** Lets the time go on while nothing comes. */
  tick() {
    if (!this.#concluded) this.generation.trace.wall_s = this.#now;
  }

  get #now() {
    return (performance.now() - this.#began) / 1000;
  }

  /** Takes a chunk in; returns what it adds to the text, as [segment, text] pairs. */
  add(chunk) {
    const { generation } = this;
    const choice = chunk.choices?.[0];
    if (chunk.usage) generation.usage = chunk.usage;
    if (choice?.finish_reason) generation.finish_reason = choice.finish_reason;
    this.tick();
    const extension = chunk.relaygen ?? choice?.relaygen ?? {};
    const added = [];
    const { reasoning, reasoning_content: same, content } = choice?.delta ?? {};
    for (const [stage, text] of [["reasoning", reasoning ?? same], ["answer", content]]) {
      if (!text) continue;
      generation.text += text;
      generation[stage] += text;
      added.push([this.#segment(extension, stage, text), text]);
    }
    if (choice?.token_ids?.length) this.#count(extension, choice.token_ids, added[0]?.[0]);
    this.#conclude(extension.trace?.segments ? extension.trace : extension);
    return added;
  }

  /** Ends it, with a reason and an error where the stream gave none. */
  end(reason = null, error = null) {
    const { generation } = this;
    generation.finish_reason = reason ?? generation.finish_reason;
    generation.error = error ?? generation.error;
  }

  /** Takes over what the gateway says of the whole: its trace, or figures alone. */
  #conclude(told) {
    const { trace } = this.generation;
    if (Array.isArray(told.segments)) {
      this.generation.trace = { ...trace, ...told };
      this.#concluded = true;
      return;
    }
    for (const name of ["policy", "utilisation", "handoffs", "failovers", "handoffs_left_out", "overrun_tokens"]) {
      if (name in told) trace[name] = told[name];
    }
    if (told.tokens) trace.overrun_tokens = told.tokens.overrun;
    if (told.degraded) trace.small_lost = true;
  }

  /** Tokens without a text of their own, a reasoning tag's say, belong to a segment too. */
  #count(extension, ids, written) {
    const stage = extension.stage ?? this.generation.trace.segments.at(-1)?.stage ?? "answer";
    const segment = written ?? this.#segment(extension, stage, "");
    (segment.token_ids ??= []).push(...ids);
  }

  #segment({ role = null, segment: place = null }, stage, text) {
    const { segments } = this.generation.trace;
    let last = segments.at(-1);
    if (!last || last.role !== role || last.stage !== stage || this.#place !== place) {
      last = { role, stage, text: "", token_ids: null, margins: null,
        started_s: last?.ended_s ?? 0, first_token_s: this.#now, ended_s: this.#now, ended_by: null };
      segments.push(last);
      this.#place = place;
    }
    last.text += text;
    last.ended_s = this.#now;
    return last;
  }
}
