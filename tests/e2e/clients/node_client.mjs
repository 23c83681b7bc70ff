// OpenAI's Node client: prints as JSON what it makes of the gateway.
import OpenAI from "openai";

const { url, keyed_url, key, model, question } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 });
const asked = {
  model,
  messages: [{ role: "user", content: question }],
  temperature: 0,
  seed: 1,
};

/** Which of the client's error classes a call ends with, and what it says. */
async function failure(call) {
  try {
    await call();
  } catch (error) {
    return {
      kind: error.constructor.name,
      status: error.status ?? null,
      param: error.param ?? null,
      code: error.code ?? null,
      message: error.message,
      request_id: error.requestID ?? null,
      retry_after: error.headers?.get("retry-after") ?? null,
    };
  }
  return null;
}

async function streamed() {
  const text = { content: "", reasoning: "", usage: null, finish_reason: null };
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    for (const choice of chunk.choices) {
      text.content += choice.delta.content ?? "";
      text.reasoning += choice.delta.reasoning_content ?? "";
      text.finish_reason = choice.finish_reason ?? text.finish_reason;
    }
    text.usage = chunk.usage ?? text.usage;
  }
  return text;
}

async function left() {
  const stream = await client.chat.completions.create({ ...asked, stream: true });
  let chunks = 0;
  for await (const _ of stream) {
    chunks += 1;
    stream.controller.abort();
  }
  return chunks;
}

async function withTool(choice) {
  return client.chat.completions.create({
    ...asked,
    tools: [{ type: "function", function: { name: "add", parameters: { type: "object" } } }],
    tool_choice: choice,
  });
}

async function withKey(apiKey) {
  const holder = new OpenAI({ baseURL: keyed_url, apiKey, maxRetries: 0 });
  return holder.chat.completions.create({ ...asked, max_tokens: 1 });
}

const whole = await client.chat.completions.create(asked);
const helper = client.chat.completions.stream(asked);
const stopping = new AbortController();
const told = {
  whole: { ...whole.choices[0].message, usage: whole.usage, request_id: whole._request_id },
  streamed: await streamed(),
  helped: (await helper.finalChatCompletion()).choices[0].message,
  completion: (await client.completions.create({ model, prompt: question, max_tokens: 4 })).usage,
  models: (await client.models.list()).data.map((entry) => entry.id),
  tools: (await withTool("auto")).choices[0].finish_reason,
  failures: {
    forced_tool: await failure(() => withTool("required")),
    logprobs: await failure(() => client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 21 })),
    unknown_model: await failure(() => client.chat.completions.create({ ...asked, model: "nobody" })),
    wrong_key: await failure(() => withKey("wrong")),
    first_with_key: await failure(() => withKey(key)),
    second_with_key: await failure(() => withKey(key)),
    aborted: await failure(() => {
      const reply = client.chat.completions.create({ ...asked, n: 8 }, { signal: stopping.signal });
      stopping.abort();
      return reply;
    }),
  },
  left_after: await left(),
  afterwards: (await client.chat.completions.create(asked)).choices[0].message.content,
};
console.log(JSON.stringify(told));
