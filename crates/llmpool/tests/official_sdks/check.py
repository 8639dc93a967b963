"""Checks of OpenAI's Python client against llmpool. Run by ../official_sdks.rs, which starts one scene per model name."""

import os
import sys
import traceback

import openai
from pydantic import BaseModel

TEXT = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
WORDS = len(TEXT.split())
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]
USAGE = {"include_usage": True}


class Weather(BaseModel):
    """What the weather is."""

    city: str


class Verdict(BaseModel):
    good: bool
    reasons: list[str]


CHAT_TOOL = openai.pydantic_function_tool(Weather, name="weather")
RESPONSES_TOOL = {"type": "function", **CHAT_TOOL["function"]}
CHAT_FORCED = {"type": "function", "function": {"name": "weather"}}
RESPONSES_FORCED = {"type": "function", "name": "weather"}
CITIES = [("call_a", "Oslo"), ("call_b", "Rome")]

checks = []


def check(function):
    checks.append(function)
    return function


def same(one, other):
    assert one == other, f"{one!r} is not {other!r}"


def valid(answer):
    """Validates an answer against the client's own types, which the client itself does not do."""
    type(answer).model_validate(answer.to_dict())
    return answer


def raised_by(error_class, call):
    try:
        call()
    except error_class as error:
        return error
    raise AssertionError(f"no {error_class.__name__}")


def text_of(chunks):
    deltas = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    return "".join(delta for delta in deltas if delta)


def ends(chunks):
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    return [reason for reason in reasons if reason]


# Chat completions.


@check
def chat_returns_an_answer(client, upstream):
    answer = valid(client.chat.completions.create(model="plain", messages=MESSAGES))
    choice = answer.choices[0]
    same((answer.object, answer.model, choice.index), ("chat.completion", "plain", 0))
    same((choice.message.role, choice.message.content), ("assistant", TEXT))
    same((choice.finish_reason, choice.message.refusal, choice.message.tool_calls), ("stop", None, None))
    assert answer.id and answer.created > 0 and answer.usage.prompt_tokens > 0
    same(answer.usage.completion_tokens, WORDS)
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + WORDS)


@check
def chat_streams_chunks(client, upstream):
    plain = client.chat.completions.create(model="plain", messages=MESSAGES)
    stream = client.chat.completions.create(model="plain", messages=MESSAGES, stream=True, stream_options=USAGE)
    chunks = [valid(chunk) for chunk in stream]
    same((text_of(chunks), ends(chunks)), (TEXT, ["stop"]))
    assert len(chunks) > WORDS, "several chunks"
    same({(chunk.id, chunk.object, chunk.model) for chunk in chunks}, {(chunks[0].id, "chat.completion.chunk", "plain")})
    same(chunks[0].choices[0].delta.role, "assistant")
    same([chunk.usage for chunk in chunks if chunk.usage], [plain.usage])
    same((chunks[-1].choices, chunks[-1].usage), ([], plain.usage))


@check
def chat_stream_is_assembled(client, upstream):
    plain = client.chat.completions.create(model="plain", messages=MESSAGES)
    with client.chat.completions.stream(model="plain", messages=MESSAGES, stream_options=USAGE) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    same(("".join(deltas), whole.choices[0].message.content), (TEXT, TEXT))
    same((whole.choices[0].finish_reason, whole.usage), ("stop", plain.usage))


@check
def chat_calls_a_tool(client, upstream):
    arguments = {"model": "plain", "messages": MESSAGES, "tools": [CHAT_TOOL], "tool_choice": CHAT_FORCED}
    answer = valid(client.chat.completions.parse(**arguments))
    with client.chat.completions.stream(**arguments) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        streamed = stream.get_final_completion()
    for choice in (answer.choices[0], streamed.choices[0]):
        (call,) = choice.message.tool_calls
        same((choice.finish_reason, choice.message.content), ("tool_calls", None))
        same((call.type, call.function.name), ("function", "weather"))
        same(call.function.parsed_arguments, Weather(city="xxxx"))
        assert call.id
    same([event.parsed_arguments for event in done], [Weather(city="xxxx")])


@check
def chat_accepts_tool_results(client, upstream):
    arguments = {"model": "plain", "tools": [CHAT_TOOL]}
    first = client.chat.completions.create(messages=MESSAGES, tool_choice=CHAT_FORCED, **arguments)
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny."}
    second = client.chat.completions.create(messages=[*MESSAGES, message, result], **arguments)
    same(second.choices[0].message.content, TEXT)


@check
def chat_reply_follows_a_schema(client, upstream):
    arguments = {"model": "plain", "messages": MESSAGES, "response_format": Verdict}
    answer = client.chat.completions.parse(**arguments)
    with client.chat.completions.stream(**arguments) as stream:
        streamed = stream.get_final_completion()
    for completion in (answer, streamed):
        same(completion.choices[0].message.parsed, Verdict(good=False, reasons=[]))


@check
def chat_returns_a_refusal(client, upstream):
    arguments = {"model": "unwilling", "messages": MESSAGES, "response_format": Verdict}
    answer = valid(client.chat.completions.parse(**arguments))
    with client.chat.completions.stream(**arguments) as stream:
        deltas = [event.delta for event in stream if event.type == "refusal.delta"]
        streamed = stream.get_final_completion()
    same("".join(deltas), "That I will not do.")
    for completion in (answer, streamed):
        message = completion.choices[0].message
        same((message.refusal, message.parsed), ("That I will not do.", None))
        assert not message.content
        same(completion.choices[0].finish_reason, "stop")


@check
def chat_stops_at_the_token_limit(client, upstream):
    arguments = {"model": "plain", "messages": MESSAGES, "max_completion_tokens": 16}
    answer = client.chat.completions.create(**arguments)
    same((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 16))
    same(ends(client.chat.completions.create(stream=True, **arguments)), ["length"])
    error = raised_by(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(**arguments))
    same(error.completion.usage, answer.usage)


@check
def chat_returns_reasoning(client, upstream):
    arguments = {"model": "thoughtful", "messages": MESSAGES}
    answer = valid(client.chat.completions.create(**arguments))
    message = answer.choices[0].message
    same((message.content, message.reasoning_content), ("It is 42.", "Let me think about it."))
    same(answer.usage.completion_tokens_details.reasoning_tokens, 5)
    chunks = [valid(chunk) for chunk in client.chat.completions.create(stream=True, **arguments)]
    thoughts = [getattr(choice.delta, "reasoning_content", None) for chunk in chunks for choice in chunk.choices]
    same(("".join(thought for thought in thoughts if thought), text_of(chunks)), ("Let me think about it.", "It is 42."))


@check
def chat_returns_reasoning_search_and_calls(client, upstream):
    arguments = {"messages": MESSAGES, "tools": [CHAT_TOOL], "logprobs": True}
    answer = valid(client.chat.completions.parse(model="busy", **arguments))
    chunks = [valid(chunk) for chunk in client.chat.completions.create(model="busy-streamed", stream=True, **arguments)]
    same((text_of(chunks), ends(chunks)), ("I will look.", ["tool_calls"]))
    with client.chat.completions.stream(model="busy-streamed", stream_options=USAGE, **arguments) as stream:
        streamed = stream.get_final_completion()
    for completion in (answer, streamed):
        choice = completion.choices[0]
        same((choice.message.content, choice.finish_reason), ("I will look.", "tool_calls"))
        same(choice.message.reasoning_content, "Two cities.")
        same([(call.id, call.function.parsed_arguments.city) for call in choice.message.tool_calls], CITIES)
        same([token.token for token in choice.logprobs.content], ["I will", " look."])
        same((completion.usage.total_tokens, completion.usage.prompt_tokens_details.cached_tokens), (70, 16))
        same(completion.usage.completion_tokens_details.reasoning_tokens, 4)
    same([note.url_citation.title for note in answer.choices[0].message.annotations], ["Sky"])


@check
def chat_error_of_the_provider_is_raised(client, upstream):
    for stream in (False, True):
        call = lambda model: lambda: client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
        assert_provider_errors(call)


@check
def chat_stream_error_is_raised(client, upstream):
    stream = client.chat.completions.create(model="broken", messages=MESSAGES, stream=True)
    error = raised_by(openai.APIError, lambda: list(stream))
    assert error.message, error


@check
def chat_field_without_equivalent_is_rejected(client, upstream):
    call = lambda: client.chat.completions.create(model="plain", messages=MESSAGES, stop=["x"])
    if upstream == "same":
        return call()
    error = raised_by(openai.BadRequestError, call)
    same(error.param, "stop")
    assert "no stop sequences" in error.message, error


# Responses.


@check
def response_returns_an_answer(client, upstream):
    answer = valid(client.responses.create(model="plain", instructions="Be brief.", input="What is it?"))
    same((answer.object, answer.model, answer.status), ("response", "plain", "completed"))
    same((answer.output_text, answer.error, answer.incomplete_details), (TEXT, None, None))
    same([item.type for item in answer.output], ["message"])
    same((answer.output[0].role, answer.output[0].status), ("assistant", "completed"))
    assert answer.id and answer.output[0].id and answer.created_at > 0 and answer.usage.input_tokens > 0
    same(answer.usage.output_tokens, WORDS)
    same(answer.usage.total_tokens, answer.usage.input_tokens + WORDS)


@check
def response_streams_events(client, upstream):
    plain = client.responses.create(model="plain", input="What is it?")
    events = [valid(event) for event in client.responses.create(model="plain", input="What is it?", stream=True)]
    same([event.sequence_number for event in events], list(range(len(events))))
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    same(
        [kind for kind in kinds if kind != "response.output_text.delta"],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ],
    )
    same(("".join(deltas), len(deltas)), (TEXT, WORDS))
    last = events[-1].response
    same((last.output_text, last.status, last.usage), (TEXT, "completed", plain.usage))
    same({event.response.id for event in events if hasattr(event, "response")}, {last.id})


@check
def response_stream_is_assembled(client, upstream):
    with client.responses.stream(model="plain", input="What is it?") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        whole = stream.get_final_response()
    same((snapshots[-1], whole.output_text, whole.status), (TEXT, TEXT, "completed"))
    same(whole.usage.output_tokens, WORDS)


@check
def response_calls_a_tool(client, upstream):
    arguments = {"model": "plain", "input": "What is it?", "tools": [RESPONSES_TOOL], "tool_choice": RESPONSES_FORCED}
    answer = valid(client.responses.create(**arguments))
    with client.responses.stream(**arguments) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.function_call_arguments.delta"]
        streamed = stream.get_final_response()
    for response in (answer, streamed):
        (call,) = response.output
        same((call.type, call.name, call.status), ("function_call", "weather", "completed"))
        same(Weather.model_validate_json(call.arguments), Weather(city="xxxx"))
        assert call.id and call.call_id
    same(snapshots[-1], streamed.output[0].arguments)


@check
def response_accepts_tool_results(client, upstream):
    arguments = {"model": "plain", "tools": [RESPONSES_TOOL]}
    first = client.responses.create(input="What is it?", tool_choice=RESPONSES_FORCED, **arguments)
    result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "Sunny."}
    so_far = [{"role": "user", "content": "What is it?"}, *first.output, result]
    second = client.responses.create(input=so_far, **arguments)
    same(second.output_text, TEXT)
    third = client.responses.create(input=[*so_far, *second.output, {"role": "user", "content": "Sure?"}], **arguments)
    same(third.output_text, TEXT)


@check
def response_reply_follows_a_schema(client, upstream):
    arguments = {"model": "plain", "input": "What is it?", "text_format": Verdict}
    with client.responses.stream(**arguments) as stream:
        done = [event.parsed for event in stream if event.type == "response.output_text.done"]
        streamed = stream.get_final_response()
    verdict = Verdict(good=False, reasons=[])
    same((client.responses.parse(**arguments).output_parsed, streamed.output_parsed, done), (verdict, verdict, [verdict]))


@check
def response_returns_a_refusal(client, upstream):
    arguments = {"model": "unwilling", "input": "What is it?"}
    answer = valid(client.responses.create(**arguments))
    with client.responses.stream(**arguments) as stream:
        deltas = [event.delta for event in stream if event.type == "response.refusal.delta"]
        streamed = stream.get_final_response()
    same("".join(deltas), "That I will not do.")
    for response in (answer, streamed):
        (part,) = response.output[0].content
        same((part.type, part.refusal, response.status), ("refusal", "That I will not do.", "completed"))


@check
def response_stops_at_the_token_limit(client, upstream):
    arguments = {"model": "plain", "input": "What is it?", "max_output_tokens": 16}
    answer = valid(client.responses.create(**arguments))
    last = [valid(event) for event in client.responses.create(stream=True, **arguments)][-1]
    same(last.type, "response.incomplete")
    for response in (answer, last.response):
        same((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        same((response.output[-1].status, response.usage.output_tokens), ("incomplete", 16))
        assert TEXT.startswith(response.output_text) and response.output_text


@check
def response_returns_reasoning(client, upstream):
    arguments = {"model": "thoughtful", "input": "What is it?"}
    answer = valid(client.responses.create(**arguments))
    with client.responses.stream(**arguments) as stream:
        events = [event for event in stream]
        streamed = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
    same("".join(deltas), "Let me think about it.")
    for response in (answer, streamed):
        same([item.type for item in response.output], ["reasoning", "message"])
        same([part.text for part in response.output[0].content], ["Let me think about it."])
        same((response.output_text, response.usage.output_tokens_details.reasoning_tokens), ("It is 42.", 5))


@check
def response_returns_reasoning_search_and_calls(client, upstream):
    arguments = {"input": "What is it?", "tools": [RESPONSES_TOOL], "include": ["message.output_text.logprobs"]}
    answer = valid(client.responses.parse(model="busy", **arguments))
    events = [valid(event) for event in client.responses.create(model="busy-streamed", stream=True, **arguments)]
    same([event.sequence_number for event in events], list(range(len(events))))
    with client.responses.stream(model="busy-streamed", **arguments) as stream:
        streamed = stream.get_final_response()
    for response in (answer, events[-1].response, streamed):
        kinds = [item.type for item in response.output if item.type != "web_search_call"]
        same(kinds, ["reasoning", "message", "function_call", "function_call"])
        calls = [item for item in response.output if item.type == "function_call"]
        same([(call.call_id, Weather.model_validate_json(call.arguments).city) for call in calls], CITIES)
        (part,) = next(item for item in response.output if item.type == "message").content
        same((part.text, part.annotations[0].title), ("I will look.", "Sky"))
        same([token.token for token in part.logprobs], ["I will", " look."])
        usage = response.usage
        same((usage.total_tokens, usage.input_tokens_details.cached_tokens), (70, 16))
        same(usage.output_tokens_details.reasoning_tokens, 4)


@check
def response_error_of_the_provider_is_raised(client, upstream):
    for stream in (False, True):
        call = lambda model: lambda: client.responses.create(model=model, input="What is it?", stream=stream)
        assert_provider_errors(call)


@check
def response_stream_error_is_raised(client, upstream):
    events = [valid(event) for event in client.responses.create(model="broken", input="What is it?", stream=True)]
    same([event.sequence_number for event in events], list(range(len(events))))
    (error,) = [event for event in events if event.type == "error"]
    assert error.message, error
    if upstream == "translated":
        same((events[-1].type, events[-1].response.status), ("response.failed", "failed"))
        assert events[-1].response.error.message


@check
def response_field_without_equivalent_is_rejected(client, upstream):
    call = lambda: client.responses.create(model="plain", input="What is it?", previous_response_id="resp_0")
    error = raised_by(openai.BadRequestError, call)
    if upstream == "translated":
        same(error.param, "previous_response_id")
    else:
        same(error.code, "previous_response_not_found")


def assert_provider_errors(call):
    """Rejected keys and rejected requests raise the matching exception of the client."""
    error = raised_by(openai.AuthenticationError, call("locked"))
    same(error.status_code, 401)
    assert "key" in error.message, error
    error = raised_by(openai.BadRequestError, call("picky"))
    same((error.status_code, error.type, error.code), (400, "invalid_request_error", "too_hot"))
    same(error.param, "temperature")
    same(error.body["message"], "This is too hot.")
    same(raised_by(openai.NotFoundError, call("unknown")).status_code, 404)


def main():
    server = os.environ["LLMPOOL_TEST_SERVER"]
    failed = 0
    for upstream in ("same", "translated"):
        client = openai.OpenAI(base_url=f"{server}/{upstream}/v1", api_key="of-no-account", max_retries=0, timeout=20)
        for function in checks:
            try:
                function(client, upstream)
            except Exception:
                failed += 1
                print(f"--- {function.__name__}, {upstream} upstream format:\n{traceback.format_exc()}")
    print(f"openai {openai.__version__}: {2 * len(checks) - failed} checks passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
