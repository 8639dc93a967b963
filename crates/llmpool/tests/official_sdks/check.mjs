// Checks of OpenAI's Node client against llmpool. Run by ../official_sdks.rs, which starts one scene per model name.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// The packages are installed in another directory, which only `createRequire` can be given.
const installed = createRequire(join(process.env.LLMPOOL_TEST_NODE_MODULES, "here.js"));
const OpenAI = installed("openai");
const { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } = installed("openai/helpers/zod");
const { z } = installed("zod");

const TEXT =
  "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen";
const WORDS = TEXT.split(" ").length;
const CHAT = {
  model: "plain",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "What is it?" },
  ],
};
const INPUT = { model: "plain", input: "What is it?" };
const USAGE = { stream_options: { include_usage: true } };
const Weather = z.object({ city: z.string() });
const Verdict = z.object({ good: z.boolean(), reasons: z.array(z.string()) });
const VERDICT = { good: false, reasons: [] };
const CHAT_CALL = {
  tools: [zodFunction({ name: "weather", parameters: Weather })],
  tool_choice: { type: "function", function: { name: "weather" } },
};
const RESPONSES_CALL = {
  tools: [zodResponsesFunction({ name: "weather", parameters: Weather })],
  tool_choice: { type: "function", name: "weather" },
};
const CITIES = [
  ["call_a", "Oslo"],
  ["call_b", "Rome"],
];

const same = assert.deepEqual;

async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

const deltas = (events, type) => events.filter((event) => event.type === type).map((event) => event.delta);

/** Rejected keys and rejected requests raise the matching exception of the client. */
async function rejectsProviderErrors(call) {
  await assert.rejects(call("locked"), (error) => {
    assert(error instanceof OpenAI.AuthenticationError && /key/.test(error.message), error);
    return error.status === 401;
  });
  await assert.rejects(call("picky"), (error) => {
    assert(error instanceof OpenAI.BadRequestError && /This is too hot\./.test(error.message), error);
    same([error.status, error.type, error.code], [400, "invalid_request_error", "too_hot"]);
    same(error.param, "temperature");
    return true;
  });
  await assert.rejects(call("unknown"), OpenAI.NotFoundError);
}

const checks = {
  async "chat returns an answer"({ chat }) {
    const answer = await chat.completions.create(CHAT);
    const { message, finish_reason } = answer.choices[0];
    same([answer.object, answer.model], ["chat.completion", "plain"]);
    same([message.role, message.content, finish_reason], ["assistant", TEXT, "stop"]);
    same(message.tool_calls, undefined);
    assert(answer.id && answer.created > 0 && answer.usage.prompt_tokens > 0);
    same(answer.usage.completion_tokens, WORDS);
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + WORDS);
  },

  async "chat streams chunks"({ chat }) {
    const plain = await chat.completions.create(CHAT);
    const chunks = await all(chat.completions.create({ ...CHAT, ...USAGE, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    same(choices.map((choice) => choice.delta.content ?? "").join(""), TEXT);
    same(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    assert(chunks.length > WORDS, "it came in pieces");
    same(chunks.map((chunk) => chunk.usage).filter(Boolean), [plain.usage]);
    same([chunks.at(-1).choices, chunks.at(-1).usage], [[], plain.usage]);
  },

  async "chat stream is assembled"({ chat }) {
    const plain = await chat.completions.create(CHAT);
    const parts = [];
    const stream = chat.completions.stream({ ...CHAT, ...USAGE }).on("content", (delta) => parts.push(delta));
    const whole = await stream.finalChatCompletion();
    same([parts.join(""), whole.choices[0].message.content], [TEXT, TEXT]);
    same([whole.choices[0].finish_reason, whole.usage], ["stop", plain.usage]);
  },

  async "chat calls a tool"({ chat }) {
    const params = { ...CHAT, ...CHAT_CALL };
    const streamed = await chat.completions.stream(params).finalChatCompletion();
    for (const answer of [await chat.completions.parse(params), streamed]) {
      const { message, finish_reason } = answer.choices[0];
      same([message.tool_calls.length, message.content, finish_reason], [1, null, "tool_calls"]);
      const [call] = message.tool_calls;
      same([call.type, call.function.name, call.function.parsed_arguments], ["function", "weather", { city: "xxxx" }]);
      assert(call.id);
    }
  },

  async "chat accepts tool results"({ chat }) {
    const first = await chat.completions.create({ ...CHAT, ...CHAT_CALL });
    const { message } = first.choices[0];
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "Sunny." };
    const second = await chat.completions.create({ ...CHAT, messages: [...CHAT.messages, message, result] });
    same(second.choices[0].message.content, TEXT);
  },

  async "chat reply follows a schema"({ chat }) {
    const params = { ...CHAT, response_format: zodResponseFormat(Verdict, "verdict") };
    const streamed = await chat.completions.stream(params).finalChatCompletion();
    for (const answer of [await chat.completions.parse(params), streamed]) {
      same(answer.choices[0].message.parsed, VERDICT);
    }
  },

  async "chat returns a refusal"({ chat }) {
    const params = { ...CHAT, model: "unwilling", response_format: zodResponseFormat(Verdict, "verdict") };
    const parts = [];
    const stream = chat.completions.stream(params).on("refusal.delta", ({ delta }) => parts.push(delta));
    const streamed = await stream.finalChatCompletion();
    same(parts.join(""), "That I will not do.");
    for (const answer of [await chat.completions.parse(params), streamed]) {
      const { message, finish_reason } = answer.choices[0];
      same([message.refusal, message.parsed, finish_reason], ["That I will not do.", null, "stop"]);
      assert(!message.content);
    }
  },

  async "chat stops at the token limit"({ chat }) {
    const params = { ...CHAT, max_completion_tokens: 16 };
    const answer = await chat.completions.create(params);
    same([answer.choices[0].finish_reason, answer.usage.completion_tokens], ["length", 16]);
    const parsed = chat.completions.parse({ ...params, tools: CHAT_CALL.tools });
    await assert.rejects(parsed, (error) => error instanceof OpenAI.OpenAIError && /length/.test(error.message));
    const streamed = await all(chat.completions.create({ ...params, stream: true }));
    same(streamed.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean), ["length"]);
  },

  async "chat returns reasoning"({ chat }) {
    const params = { ...CHAT, model: "thoughtful" };
    const answer = await chat.completions.create(params);
    const { message } = answer.choices[0];
    same([message.content, message.reasoning_content], ["It is 42.", "Let me think about it."]);
    same(answer.usage.completion_tokens_details.reasoning_tokens, 5);
    const chunks = await all(chat.completions.create({ ...params, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    same(choices.map((choice) => choice.delta.reasoning_content ?? "").join(""), "Let me think about it.");
    same(choices.map((choice) => choice.delta.content ?? "").join(""), "It is 42.");
  },

  async "chat returns reasoning, search and calls"({ chat }) {
    const params = { ...CHAT, tools: CHAT_CALL.tools, logprobs: true };
    const streamed = chat.completions.stream({ ...params, ...USAGE, model: "busy-streamed" }).finalChatCompletion();
    for (const answer of [await chat.completions.parse({ ...params, model: "busy" }), await streamed]) {
      const { message, finish_reason, logprobs } = answer.choices[0];
      same([message.content, finish_reason], ["I will look.", "tool_calls"]);
      same(
        message.tool_calls.map((call) => [call.id, call.function.parsed_arguments.city]),
        CITIES,
      );
      same(
        logprobs.content.map((token) => token.token),
        ["I will", " look."],
      );
      const { total_tokens, prompt_tokens_details, completion_tokens_details } = answer.usage;
      same([total_tokens, prompt_tokens_details.cached_tokens], [70, 16]);
      same(completion_tokens_details.reasoning_tokens, 4);
    }
  },

  async "chat error of the provider is raised"({ chat }) {
    for (const stream of [false, true]) {
      await rejectsProviderErrors((model) => chat.completions.create({ ...CHAT, model, stream }));
    }
  },

  async "chat stream error is raised"({ chat }) {
    const params = { ...CHAT, model: "broken" };
    await assert.rejects(all(chat.completions.create({ ...params, stream: true })), OpenAI.APIError);
    await assert.rejects(chat.completions.stream(params).finalChatCompletion(), OpenAI.APIError);
  },

  async "chat field without equivalent is rejected"({ chat }, upstream) {
    const params = chat.completions.create({ ...CHAT, stop: ["x"] });
    if (upstream === "same") return params;
    await assert.rejects(params, (error) => error instanceof OpenAI.BadRequestError && error.param === "stop");
  },

  async "response returns an answer"({ responses }) {
    const answer = await responses.create({ ...INPUT, instructions: "Be brief." });
    same([answer.object, answer.model, answer.status], ["response", "plain", "completed"]);
    same([answer.output_text, answer.error, answer.incomplete_details], [TEXT, null, null]);
    same(
      answer.output.map((item) => [item.type, item.role, item.status]),
      [["message", "assistant", "completed"]],
    );
    assert(answer.id && answer.output[0].id && answer.created_at > 0 && answer.usage.input_tokens > 0);
    same(answer.usage.output_tokens, WORDS);
    same(answer.usage.total_tokens, answer.usage.input_tokens + WORDS);
  },

  async "response streams events"({ responses }) {
    const plain = await responses.create(INPUT);
    const events = await all(responses.create({ ...INPUT, stream: true }));
    same(
      events.map((event) => event.sequence_number),
      events.map((_, number) => number),
    );
    same(deltas(events, "response.output_text.delta").join(""), TEXT);
    const last = events.at(-1);
    same([last.type, last.response.status, last.response.usage], ["response.completed", "completed", plain.usage]);
  },

  async "response stream is assembled"({ responses }) {
    const stream = responses.stream(INPUT);
    const snapshots = [];
    stream.on("response.output_text.delta", (event) => snapshots.push(event.snapshot));
    const whole = await stream.finalResponse();
    same([snapshots.length, snapshots.at(-1)], [WORDS, TEXT]);
    same([whole.output_text, whole.status, whole.usage.output_tokens], [TEXT, "completed", WORDS]);
  },

  async "response calls a tool"({ responses }) {
    const params = { ...INPUT, ...RESPONSES_CALL };
    for (const answer of [await responses.parse(params), await responses.stream(params).finalResponse()]) {
      same(answer.output.length, 1);
      const [call] = answer.output;
      same([call.type, call.name, call.status], ["function_call", "weather", "completed"]);
      same(call.parsed_arguments, { city: "xxxx" });
      assert(call.id && call.call_id);
    }
  },

  async "response accepts tool results"({ responses }) {
    const first = await responses.create({ ...INPUT, ...RESPONSES_CALL });
    const result = { type: "function_call_output", call_id: first.output[0].call_id, output: "Sunny." };
    const input = [{ role: "user", content: "What is it?" }, ...first.output, result];
    const second = await responses.create({ ...INPUT, input });
    same(second.output_text, TEXT);
    const third = await responses.create({ ...INPUT, input: [...input, ...second.output, { role: "user", content: "Sure?" }] });
    same(third.output_text, TEXT);
  },

  async "response reply follows a schema"({ responses }) {
    const params = { ...INPUT, text: { format: zodTextFormat(Verdict, "verdict") } };
    same((await responses.parse(params)).output_parsed, VERDICT);
    same((await responses.stream(params).finalResponse()).output_parsed, VERDICT);
  },

  async "response returns a refusal"({ responses }) {
    const params = { ...INPUT, model: "unwilling" };
    for (const answer of [await responses.create(params), await responses.stream(params).finalResponse()]) {
      same(
        answer.output[0].content.map((part) => [part.type, part.refusal]),
        [["refusal", "That I will not do."]],
      );
      same(answer.status, "completed");
    }
  },

  async "response stops at the token limit"({ responses }) {
    const params = { ...INPUT, max_output_tokens: 16 };
    for (const answer of [await responses.create(params), await responses.stream(params).finalResponse()]) {
      same([answer.status, answer.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
      same([answer.output.at(-1).status, answer.usage.output_tokens], ["incomplete", 16]);
      assert(answer.output_text && TEXT.startsWith(answer.output_text));
    }
  },

  async "response returns reasoning"({ responses }) {
    const params = { ...INPUT, model: "thoughtful" };
    const events = await all(responses.stream(params));
    same(deltas(events, "response.reasoning_text.delta").join(""), "Let me think about it.");
    for (const answer of [await responses.create(params), await responses.stream(params).finalResponse()]) {
      same(
        answer.output.map((item) => item.type),
        ["reasoning", "message"],
      );
      same(
        answer.output[0].content.map((part) => part.text),
        ["Let me think about it."],
      );
      same([answer.output_text, answer.usage.output_tokens_details.reasoning_tokens], ["It is 42.", 5]);
    }
  },

  async "response returns reasoning, search and calls"({ responses }) {
    const params = { ...INPUT, tools: RESPONSES_CALL.tools, include: ["message.output_text.logprobs"] };
    const streamed = responses.stream({ ...params, model: "busy-streamed" }).finalResponse();
    for (const answer of [await responses.parse({ ...params, model: "busy" }), await streamed]) {
      const items = answer.output.filter((item) => item.type !== "web_search_call");
      same(
        items.map((item) => item.type),
        ["reasoning", "message", "function_call", "function_call"],
      );
      same(
        items.slice(2).map((call) => [call.call_id, call.parsed_arguments.city]),
        CITIES,
      );
      const [part] = items[1].content;
      same([part.text, part.annotations[0].title], ["I will look.", "Sky"]);
      same(
        part.logprobs.map((token) => token.token),
        ["I will", " look."],
      );
      const { total_tokens, input_tokens_details, output_tokens_details } = answer.usage;
      same([total_tokens, input_tokens_details.cached_tokens, output_tokens_details.reasoning_tokens], [70, 16, 4]);
    }
  },

  async "response error of the provider is raised"({ responses }) {
    for (const stream of [false, true]) await rejectsProviderErrors((model) => responses.create({ ...INPUT, model, stream }));
  },

  async "response stream error is raised"({ responses }) {
    const params = { ...INPUT, model: "broken" };
    await assert.rejects(all(responses.create({ ...params, stream: true })), OpenAI.APIError);
    await assert.rejects(responses.stream(params).finalResponse(), OpenAI.OpenAIError);
  },

  async "response field without equivalent is rejected"({ responses }, upstream) {
    await assert.rejects(responses.create({ ...INPUT, previous_response_id: "resp_0" }), (error) => {
      assert(error instanceof OpenAI.BadRequestError, error);
      if (upstream === "translated") same(error.param, "previous_response_id");
      return true;
    });
  },
};

let failed = 0;
for (const upstream of ["same", "translated"]) {
  const baseURL = `${process.env.LLMPOOL_TEST_SERVER}/${upstream}/v1`;
  const client = new OpenAI({ baseURL, apiKey: "of-no-account", maxRetries: 0, timeout: 20_000 });
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(client, upstream);
    } catch (error) {
      failed += 1;
      console.log(`--- ${name}, ${upstream} upstream format:`, error);
    }
  }
}
const { VERSION } = installed("openai/version");
console.log(`openai ${VERSION}: ${2 * Object.keys(checks).length - failed} checks passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
