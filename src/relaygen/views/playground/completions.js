// The API of the gateway: OpenAI's, asked from a page of the same origin.

/** What went wrong, in words for a reader. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The names of the models. */
export async function models(key, signal) {
  const response = await send("v1/models", { headers: headers(key), signal });
  const { data } = await response.json();
  return data.map(({ id }) => String(id));
}

/** The chunks of a streamed chat completion, as they come. */
export async function* completion(request, { key, signal }) {
  const response = await send("v1/chat/completions", {
    method: "POST",
    headers: { ...headers(key), "content-type": "application/json" },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    throw new ApiError("the server did not stream", response.status);
  }
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = parsed(data);
    if (chunk.error) throw new ApiError(said(chunk.error), response.status);
    yield chunk;
  }
  cutOff();
}

function cutOff(error) {
  if (error?.name === "AbortError") throw error;
  throw new ApiError("the connection ended before the answer did", 200);
}

/** The data of server-sent events, whatever the chunks that they come in. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(cutOff);
      pending = (pending + (value ?? "")).replace(/\r\n/g, "\n");
      const complete = pending.split(/\n\n|\r\r/);
      pending = complete.pop();
      for (const event of complete) {
        const lines = event.split(/[\n\r]/).filter((line) => line.startsWith("data:"));
        if (lines.length) yield lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // a stream that has failed cannot be cancelled
  }
}

function headers(key) {
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server cannot be reached", 0);
  }
  if (response.ok) return response;
  const text = await response.text();
  let error = null;
  try {
    error = JSON.parse(text).error;
  } catch {
    // not the gateway's own: a proxy's page
  }
  const wait = response.headers.get("retry-after");
  const again = wait ? ` (try again in ${wait} s)` : "";
  throw new ApiError((error ? said(error) : `the server says ${response.status}`) + again, response.status);
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new ApiError("the server sent something that is not JSON", 200);
  }
}

function said(error) {
  return String(error.message ?? error);
}
