"""What OpenAI's client for Python makes of llmpool's answers. Run by ../official_sdks.rs, which stages the models' scenes."""

import os
import sys
import traceback

import openai
from pydantic import BaseModel

TEXT = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
WORDS = len(TEXT.split())
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]
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
    """The client takes what it gets without a look at it: here it is held against its own types."""
    type(answer).model_validate(answer.to_dict())
    return answer


def refused(error_class, call):
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
def a_chat_is_answered(client, upstream):
    answer = valid(client.chat.completions.create(model="plain", messages=ASKED))
    choice = answer.choices[0]
    same((answer.object, answer.model, choice.index), ("chat.completion", "plain", 0))
    same((choice.message.role, choice.message.content), ("assistant", TEXT))
    same((choice.finish_reason, choice.message.refusal, choice.message.tool_calls), ("stop", None, None))
    assert answer.id and answer.created > 0 and answer.usage.prompt_tokens > 0
    same(answer.usage.completion_tokens, WORDS)
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + WORDS)


@check
def a_chat_is_streamed(client, upstream):
    plain = client.chat.completions.create(model="plain", messages=ASKED)
    stream = client.chat.completions.create(model="plain", messages=ASKED, stream=True, stream_options=USAGE)
    chunks = [valid(chunk) for chunk in stream]
    same((text_of(chunks), ends(chunks)), (TEXT, ["stop"]))
    assert len(chunks) > WORDS, "it came in pieces"
    same({(chunk.id, chunk.object, chunk.model) for chunk in chunks}, {(chunks[0].id, "chat.completion.chunk", "plain")})
    same(chunks[0].choices[0].delta.role, "assistant")
    same([chunk.usage for chunk in chunks if chunk.usage], [plain.usage])
    same((chunks[-1].choices, chunks[-1].usage), ([], plain.usage))


@check
def a_chat_stream_is_put_together(client, upstream):
    plain = client.chat.completions.create(model="plain", messages=ASKED)
    with client.chat.completions.stream(model="plain", messages=ASKED, stream_options=USAGE) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    same(("".join(deltas), whole.choices[0].message.content), (TEXT, TEXT))
    same((whole.choices[0].finish_reason, whole.usage), ("stop", plain.usage))


@check
def a_chat_calls_a_tool(client, upstream):
    asked = {"model": "plain", "messages": ASKED, "tools": [CHAT_TOOL], "tool_choice": CHAT_FORCED}
    answer = valid(client.chat.completions.parse(**asked))
    with client.chat.completions.stream(**asked) as stream:
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
def a_chat_goes_on_after_a_call(client, upstream):
    asked = {"model": "plain", "tools": [CHAT_TOOL]}
    first = client.chat.completions.create(messages=ASKED, tool_choice=CHAT_FORCED, **asked)
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny."}
    second = client.chat.completions.create(messages=[*ASKED, message, result], **asked)
    same(second.choices[0].message.content, TEXT)


@check
def a_chat_answers_in_a_schema(client, upstream):
    asked = {"model": "plain", "messages": ASKED, "response_format": Verdict}
    answer = client.chat.completions.parse(**asked)
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    for completion in (answer, streamed):
        same(completion.choices[0].message.parsed, Verdict(good=False, reasons=[]))


@check
def a_chat_refuses(client, upstream):
    asked = {"model": "unwilling", "messages": ASKED, "response_format": Verdict}
    answer = valid(client.chat.completions.parse(**asked))
    with client.chat.completions.stream(**asked) as stream:
        deltas = [event.delta for event in stream if event.type == "refusal.delta"]
        streamed = stream.get_final_completion()
    same("".join(deltas), "That I will not do.")
    for completion in (answer, streamed):
        message = completion.choices[0].message
        same((message.refusal, message.parsed), ("That I will not do.", None))
        assert not message.content
        same(completion.choices[0].finish_reason, "stop")


@check
def a_chat_is_cut_at_its_length(client, upstream):
    asked = {"model": "plain", "messages": ASKED, "max_completion_tokens": 16}
    answer = client.chat.completions.create(**asked)
    same((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 16))
    same(ends(client.chat.completions.create(stream=True, **asked)), ["length"])
    error = refused(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(**asked))
    same(error.completion.usage, answer.usage)


@check
def a_chat_thinks(client, upstream):
    asked = {"model": "thoughtful", "messages": ASKED}
    answer = valid(client.chat.completions.create(**asked))
    message = answer.choices[0].message
    same((message.content, message.reasoning_content), ("It is 42.", "Let me think about it."))
    same(answer.usage.completion_tokens_details.reasoning_tokens, 5)
    chunks = [valid(chunk) for chunk in client.chat.completions.create(stream=True, **asked)]
    thoughts = [getattr(choice.delta, "reasoning_content", None) for chunk in chunks for choice in chunk.choices]
    same(("".join(thought for thought in thoughts if thought), text_of(chunks)), ("Let me think about it.", "It is 42."))


@check
def a_chat_says_much_at_once(client, upstream):
    asked = {"messages": ASKED, "tools": [CHAT_TOOL], "logprobs": True}
    answer = valid(client.chat.completions.parse(model="busy", **asked))
    chunks = [valid(chunk) for chunk in client.chat.completions.create(model="busy-streamed", stream=True, **asked)]
    same((text_of(chunks), ends(chunks)), ("I will look.", ["tool_calls"]))
    with client.chat.completions.stream(model="busy-streamed", stream_options=USAGE, **asked) as stream:
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
def a_chat_fails_as_its_provider_says(client, upstream):
    for stream in (False, True):
        ask = lambda model: lambda: client.chat.completions.create(model=model, messages=ASKED, stream=stream)
        same_errors(ask)


@check
def a_chat_stream_breaks(client, upstream):
    stream = client.chat.completions.create(model="broken", messages=ASKED, stream=True)
    error = refused(openai.APIError, lambda: list(stream))
    assert error.message, error


@check
def a_chat_with_what_the_other_format_lacks_is_refused(client, upstream):
    ask = lambda: client.chat.completions.create(model="plain", messages=ASKED, stop=["x"])
    if upstream == "same":
        return ask()
    error = refused(openai.BadRequestError, ask)
    same(error.param, "stop")
    assert "no stop sequences" in error.message, error


# Responses.


@check
def a_response_is_answered(client, upstream):
    answer = valid(client.responses.create(model="plain", instructions="Be brief.", input="What is it?"))
    same((answer.object, answer.model, answer.status), ("response", "plain", "completed"))
    same((answer.output_text, answer.error, answer.incomplete_details), (TEXT, None, None))
    same([item.type for item in answer.output], ["message"])
    same((answer.output[0].role, answer.output[0].status), ("assistant", "completed"))
    assert answer.id and answer.output[0].id and answer.created_at > 0 and answer.usage.input_tokens > 0
    same(answer.usage.output_tokens, WORDS)
    same(answer.usage.total_tokens, answer.usage.input_tokens + WORDS)


@check
def a_response_is_streamed(client, upstream):
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
def a_response_stream_is_put_together(client, upstream):
    with client.responses.stream(model="plain", input="What is it?") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        whole = stream.get_final_response()
    same((snapshots[-1], whole.output_text, whole.status), (TEXT, TEXT, "completed"))
    same(whole.usage.output_tokens, WORDS)


@check
def a_response_calls_a_tool(client, upstream):
    asked = {"model": "plain", "input": "What is it?", "tools": [RESPONSES_TOOL], "tool_choice": RESPONSES_FORCED}
    answer = valid(client.responses.create(**asked))
    with client.responses.stream(**asked) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.function_call_arguments.delta"]
        streamed = stream.get_final_response()
    for response in (answer, streamed):
        (call,) = response.output
        same((call.type, call.name, call.status), ("function_call", "weather", "completed"))
        same(Weather.model_validate_json(call.arguments), Weather(city="xxxx"))
        assert call.id and call.call_id
    same(snapshots[-1], streamed.output[0].arguments)


@check
def a_response_goes_on_after_a_call(client, upstream):
    asked = {"model": "plain", "tools": [RESPONSES_TOOL]}
    first = client.responses.create(input="What is it?", tool_choice=RESPONSES_FORCED, **asked)
    result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "Sunny."}
    so_far = [{"role": "user", "content": "What is it?"}, *first.output, result]
    second = client.responses.create(input=so_far, **asked)
    same(second.output_text, TEXT)
    third = client.responses.create(input=[*so_far, *second.output, {"role": "user", "content": "Sure?"}], **asked)
    same(third.output_text, TEXT)


@check
def a_response_answers_in_a_schema(client, upstream):
    asked = {"model": "plain", "input": "What is it?", "text_format": Verdict}
    with client.responses.stream(**asked) as stream:
        done = [event.parsed for event in stream if event.type == "response.output_text.done"]
        streamed = stream.get_final_response()
    verdict = Verdict(good=False, reasons=[])
    same((client.responses.parse(**asked).output_parsed, streamed.output_parsed, done), (verdict, verdict, [verdict]))


@check
def a_response_refuses(client, upstream):
    asked = {"model": "unwilling", "input": "What is it?"}
    answer = valid(client.responses.create(**asked))
    with client.responses.stream(**asked) as stream:
        deltas = [event.delta for event in stream if event.type == "response.refusal.delta"]
        streamed = stream.get_final_response()
    same("".join(deltas), "That I will not do.")
    for response in (answer, streamed):
        (part,) = response.output[0].content
        same((part.type, part.refusal, response.status), ("refusal", "That I will not do.", "completed"))


@check
def a_response_is_cut_at_its_length(client, upstream):
    asked = {"model": "plain", "input": "What is it?", "max_output_tokens": 16}
    answer = valid(client.responses.create(**asked))
    last = [valid(event) for event in client.responses.create(stream=True, **asked)][-1]
    same(last.type, "response.incomplete")
    for response in (answer, last.response):
        same((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        same((response.output[-1].status, response.usage.output_tokens), ("incomplete", 16))
        assert TEXT.startswith(response.output_text) and response.output_text


@check
def a_response_thinks(client, upstream):
    asked = {"model": "thoughtful", "input": "What is it?"}
    answer = valid(client.responses.create(**asked))
    with client.responses.stream(**asked) as stream:
        events = [event for event in stream]
        streamed = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
    same("".join(deltas), "Let me think about it.")
    for response in (answer, streamed):
        same([item.type for item in response.output], ["reasoning", "message"])
        same([part.text for part in response.output[0].content], ["Let me think about it."])
        same((response.output_text, response.usage.output_tokens_details.reasoning_tokens), ("It is 42.", 5))


@check
def a_response_says_much_at_once(client, upstream):
    asked = {"input": "What is it?", "tools": [RESPONSES_TOOL], "include": ["message.output_text.logprobs"]}
    answer = valid(client.responses.parse(model="busy", **asked))
    events = [valid(event) for event in client.responses.create(model="busy-streamed", stream=True, **asked)]
    same([event.sequence_number for event in events], list(range(len(events))))
    with client.responses.stream(model="busy-streamed", **asked) as stream:
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
def a_response_fails_as_its_provider_says(client, upstream):
    for stream in (False, True):
        ask = lambda model: lambda: client.responses.create(model=model, input="What is it?", stream=stream)
        same_errors(ask)


@check
def a_response_stream_breaks(client, upstream):
    events = [valid(event) for event in client.responses.create(model="broken", input="What is it?", stream=True)]
    same([event.sequence_number for event in events], list(range(len(events))))
    (error,) = [event for event in events if event.type == "error"]
    assert error.message, error
    if upstream == "translated":
        same((events[-1].type, events[-1].response.status), ("response.failed", "failed"))
        assert events[-1].response.error.message


@check
def a_response_with_what_the_other_format_lacks_is_refused(client, upstream):
    ask = lambda: client.responses.create(model="plain", input="What is it?", previous_response_id="resp_0")
    error = refused(openai.BadRequestError, ask)
    if upstream == "translated":
        same(error.param, "previous_response_id")
    else:
        same(error.code, "previous_response_not_found")


def same_errors(ask):
    """A key that is refused and a request that is, each as the client's own exception."""
    error = refused(openai.AuthenticationError, ask("locked"))
    same(error.status_code, 401)
    assert "key" in error.message, error
    error = refused(openai.BadRequestError, ask("picky"))
    same((error.status_code, error.type, error.code), (400, "invalid_request_error", "too_hot"))
    same(error.param, "temperature")
    same(error.body["message"], "This is too hot.")
    same(refused(openai.NotFoundError, ask("unknown")).status_code, 404)


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
                print(f"--- {function.__name__}, provider asked in the {upstream} format:\n{traceback.format_exc()}")
    print(f"openai {openai.__version__}: {2 * len(checks) - failed} checks held, {failed} did not")
    sys.exit(1 if failed else 0)


main()
