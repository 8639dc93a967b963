// What OpenAI's client for Node makes of llmpool's answers. Run by ../official_sdks.rs, which stages the models' scenes.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// What is installed is elsewhere, and only `require` can be told where.
const installed = createRequire(join(process.env.LLMPOOL_TEST_NODE_MODULES, "here.js"));
const OpenAI = installed("openai");
const { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } = installed("openai/helpers/zod");
const { z } = installed("zod");

const TEXT =
  "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen";
const WORDS = TEXT.split(" ").length;
const ASKED = {
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

/** A key that is refused and a request that is, each as the client's own exception. */
async function fails(ask) {
  await assert.rejects(ask("locked"), (error) => {
    assert(error instanceof OpenAI.AuthenticationError && /key/.test(error.message), error);
    return error.status === 401;
  });
  await assert.rejects(ask("picky"), (error) => {
    assert(error instanceof OpenAI.BadRequestError && /This is too hot\./.test(error.message), error);
    same([error.status, error.type, error.code], [400, "invalid_request_error", "too_hot"]);
    same(error.param, "temperature");
    return true;
  });
  await assert.rejects(ask("unknown"), OpenAI.NotFoundError);
}

const checks = {
  async "a chat is answered"({ chat }) {
    const answer = await chat.completions.create(ASKED);
    const { message, finish_reason } = answer.choices[0];
    same([answer.object, answer.model], ["chat.completion", "plain"]);
    same([message.role, message.content, finish_reason], ["assistant", TEXT, "stop"]);
    same(message.tool_calls, undefined);
    assert(answer.id && answer.created > 0 && answer.usage.prompt_tokens > 0);
    same(answer.usage.completion_tokens, WORDS);
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + WORDS);
  },

  async "a chat is streamed"({ chat }) {
    const plain = await chat.completions.create(ASKED);
    const chunks = await all(chat.completions.create({ ...ASKED, ...USAGE, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    same(choices.map((choice) => choice.delta.content ?? "").join(""), TEXT);
    same(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    assert(chunks.length > WORDS, "it came in pieces");
    same(chunks.map((chunk) => chunk.usage).filter(Boolean), [plain.usage]);
    same([chunks.at(-1).choices, chunks.at(-1).usage], [[], plain.usage]);
  },

  async "a chat stream is put together"({ chat }) {
    const plain = await chat.completions.create(ASKED);
    const said = [];
    const stream = chat.completions.stream({ ...ASKED, ...USAGE }).on("content", (delta) => said.push(delta));
    const whole = await stream.finalChatCompletion();
    same([said.join(""), whole.choices[0].message.content], [TEXT, TEXT]);
    same([whole.choices[0].finish_reason, whole.usage], ["stop", plain.usage]);
  },

  async "a chat calls a tool"({ chat }) {
    const asked = { ...ASKED, ...CHAT_CALL };
    const streamed = await chat.completions.stream(asked).finalChatCompletion();
    for (const answer of [await chat.completions.parse(asked), streamed]) {
      const { message, finish_reason } = answer.choices[0];
      same([message.tool_calls.length, message.content, finish_reason], [1, null, "tool_calls"]);
      const [call] = message.tool_calls;
      same([call.type, call.function.name, call.function.parsed_arguments], ["function", "weather", { city: "xxxx" }]);
      assert(call.id);
    }
  },

  async "a chat goes on after a call"({ chat }) {
    const first = await chat.completions.create({ ...ASKED, ...CHAT_CALL });
    const { message } = first.choices[0];
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "Sunny." };
    const second = await chat.completions.create({ ...ASKED, messages: [...ASKED.messages, message, result] });
    same(second.choices[0].message.content, TEXT);
  },

  async "a chat answers in a schema"({ chat }) {
    const asked = { ...ASKED, response_format: zodResponseFormat(Verdict, "verdict") };
    const streamed = await chat.completions.stream(asked).finalChatCompletion();
    for (const answer of [await chat.completions.parse(asked), streamed]) {
      same(answer.choices[0].message.parsed, VERDICT);
    }
  },

  async "a chat refuses"({ chat }) {
    const asked = { ...ASKED, model: "unwilling", response_format: zodResponseFormat(Verdict, "verdict") };
    const said = [];
    const stream = chat.completions.stream(asked).on("refusal.delta", ({ delta }) => said.push(delta));
    const streamed = await stream.finalChatCompletion();
    same(said.join(""), "That I will not do.");
    for (const answer of [await chat.completions.parse(asked), streamed]) {
      const { message, finish_reason } = answer.choices[0];
      same([message.refusal, message.parsed, finish_reason], ["That I will not do.", null, "stop"]);
      assert(!message.content);
    }
  },

  async "a chat is cut at its length"({ chat }) {
    const asked = { ...ASKED, max_completion_tokens: 16 };
    const answer = await chat.completions.create(asked);
    same([answer.choices[0].finish_reason, answer.usage.completion_tokens], ["length", 16]);
    const parsed = chat.completions.parse({ ...asked, tools: CHAT_CALL.tools });
    await assert.rejects(parsed, (error) => error instanceof OpenAI.OpenAIError && /length/.test(error.message));
    const streamed = await all(chat.completions.create({ ...asked, stream: true }));
    same(streamed.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean), ["length"]);
  },

  async "a chat thinks"({ chat }) {
    const asked = { ...ASKED, model: "thoughtful" };
    const answer = await chat.completions.create(asked);
    const { message } = answer.choices[0];
    same([message.content, message.reasoning_content], ["It is 42.", "Let me think about it."]);
    same(answer.usage.completion_tokens_details.reasoning_tokens, 5);
    const chunks = await all(chat.completions.create({ ...asked, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    same(choices.map((choice) => choice.delta.reasoning_content ?? "").join(""), "Let me think about it.");
    same(choices.map((choice) => choice.delta.content ?? "").join(""), "It is 42.");
  },

  async "a chat says much at once"({ chat }) {
    const asked = { ...ASKED, tools: CHAT_CALL.tools, logprobs: true };
    const streamed = chat.completions.stream({ ...asked, ...USAGE, model: "busy-streamed" }).finalChatCompletion();
    for (const answer of [await chat.completions.parse({ ...asked, model: "busy" }), await streamed]) {
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

  async "a chat fails as its provider says"({ chat }) {
    for (const stream of [false, true]) {
      await fails((model) => chat.completions.create({ ...ASKED, model, stream }));
    }
  },

  async "a chat stream breaks"({ chat }) {
    const asked = { ...ASKED, model: "broken" };
    await assert.rejects(all(chat.completions.create({ ...asked, stream: true })), OpenAI.APIError);
    await assert.rejects(chat.completions.stream(asked).finalChatCompletion(), OpenAI.APIError);
  },

  async "a chat with what the other format lacks is refused"({ chat }, upstream) {
    const asked = chat.completions.create({ ...ASKED, stop: ["x"] });
    if (upstream === "same") return asked;
    await assert.rejects(asked, (error) => error instanceof OpenAI.BadRequestError && error.param === "stop");
  },

  async "a response is answered"({ responses }) {
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

  async "a response is streamed"({ responses }) {
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

  async "a response stream is put together"({ responses }) {
    const stream = responses.stream(INPUT);
    const snapshots = [];
    stream.on("response.output_text.delta", (event) => snapshots.push(event.snapshot));
    const whole = await stream.finalResponse();
    same([snapshots.length, snapshots.at(-1)], [WORDS, TEXT]);
    same([whole.output_text, whole.status, whole.usage.output_tokens], [TEXT, "completed", WORDS]);
  },

  async "a response calls a tool"({ responses }) {
    const asked = { ...INPUT, ...RESPONSES_CALL };
    for (const answer of [await responses.parse(asked), await responses.stream(asked).finalResponse()]) {
      same(answer.output.length, 1);
      const [call] = answer.output;
      same([call.type, call.name, call.status], ["function_call", "weather", "completed"]);
      same(call.parsed_arguments, { city: "xxxx" });
      assert(call.id && call.call_id);
    }
  },

  async "a response goes on after a call"({ responses }) {
    const first = await responses.create({ ...INPUT, ...RESPONSES_CALL });
    const result = { type: "function_call_output", call_id: first.output[0].call_id, output: "Sunny." };
    const input = [{ role: "user", content: "What is it?" }, ...first.output, result];
    const second = await responses.create({ ...INPUT, input });
    same(second.output_text, TEXT);
    const third = await responses.create({ ...INPUT, input: [...input, ...second.output, { role: "user", content: "Sure?" }] });
    same(third.output_text, TEXT);
  },

  async "a response answers in a schema"({ responses }) {
    const asked = { ...INPUT, text: { format: zodTextFormat(Verdict, "verdict") } };
    same((await responses.parse(asked)).output_parsed, VERDICT);
    same((await responses.stream(asked).finalResponse()).output_parsed, VERDICT);
  },

  async "a response refuses"({ responses }) {
    const asked = { ...INPUT, model: "unwilling" };
    for (const answer of [await responses.create(asked), await responses.stream(asked).finalResponse()]) {
      same(
        answer.output[0].content.map((part) => [part.type, part.refusal]),
        [["refusal", "That I will not do."]],
      );
      same(answer.status, "completed");
    }
  },

  async "a response is cut at its length"({ responses }) {
    const asked = { ...INPUT, max_output_tokens: 16 };
    for (const answer of [await responses.create(asked), await responses.stream(asked).finalResponse()]) {
      same([answer.status, answer.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
      same([answer.output.at(-1).status, answer.usage.output_tokens], ["incomplete", 16]);
      assert(answer.output_text && TEXT.startsWith(answer.output_text));
    }
  },

  async "a response thinks"({ responses }) {
    const asked = { ...INPUT, model: "thoughtful" };
    const events = await all(responses.stream(asked));
    same(deltas(events, "response.reasoning_text.delta").join(""), "Let me think about it.");
    for (const answer of [await responses.create(asked), await responses.stream(asked).finalResponse()]) {
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

  async "a response says much at once"({ responses }) {
    const asked = { ...INPUT, tools: RESPONSES_CALL.tools, include: ["message.output_text.logprobs"] };
    const streamed = responses.stream({ ...asked, model: "busy-streamed" }).finalResponse();
    for (const answer of [await responses.parse({ ...asked, model: "busy" }), await streamed]) {
      const said = answer.output.filter((item) => item.type !== "web_search_call");
      same(
        said.map((item) => item.type),
        ["reasoning", "message", "function_call", "function_call"],
      );
      same(
        said.slice(2).map((call) => [call.call_id, call.parsed_arguments.city]),
        CITIES,
      );
      const [part] = said[1].content;
      same([part.text, part.annotations[0].title], ["I will look.", "Sky"]);
      same(
        part.logprobs.map((token) => token.token),
        ["I will", " look."],
      );
      const { total_tokens, input_tokens_details, output_tokens_details } = answer.usage;
      same([total_tokens, input_tokens_details.cached_tokens, output_tokens_details.reasoning_tokens], [70, 16, 4]);
    }
  },

  async "a response fails as its provider says"({ responses }) {
    for (const stream of [false, true]) await fails((model) => responses.create({ ...INPUT, model, stream }));
  },

  async "a response stream breaks"({ responses }) {
    const asked = { ...INPUT, model: "broken" };
    await assert.rejects(all(responses.create({ ...asked, stream: true })), OpenAI.APIError);
    await assert.rejects(responses.stream(asked).finalResponse(), OpenAI.OpenAIError);
  },

  async "a response with what the other format lacks is refused"({ responses }, upstream) {
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
      console.log(`--- ${name}, provider asked in the ${upstream} format:`, error);
    }
  }
}
const { VERSION } = installed("openai/version");
console.log(`openai ${VERSION}: ${2 * Object.keys(checks).length - failed} checks held, ${failed} did not`);
process.exitCode = failed ? 1 : 0;
