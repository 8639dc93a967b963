"""Prints every field of the official Python SDK's chat and responses types, one path a line, for ../../../llmpool-core/tests/sdk_fields.rs.

Usage: fields.py NODE_PATHS, with the output of fields.mjs. A line is `PATH SHAPE [required] SDKS`:

- PATH names an object by the value of its `type` or `role`: `chat.message(tool).tool_call_id`. The objects of a recursive
  union, such as items, have a root of their own, so that the list is finite.
- SHAPE is `text`, `number`, `boolean`, `any`, `=ONE|OTHER` for fixed texts, or `object`, and begins with `list:` for a
  list. The line of an object named by its `type` has the shape `by:type`.
- SDKS is `both`, `py` or `node`.
"""

import sys
import types
import typing
from typing import Annotated, Literal, Union, get_args, get_origin

import typing_extensions as te
from openai.types import chat, responses
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as responses_params
from pydantic import BaseModel

ROOTS = [
    ("chat.request", chat_params.CompletionCreateParamsNonStreaming),
    ("chat.request", chat_params.CompletionCreateParamsStreaming),
    ("chat.answer", chat.ChatCompletion),
    ("chat.chunk", chat.ChatCompletionChunk),
    ("responses.request", responses_params.ResponseCreateParamsNonStreaming),
    ("responses.request", responses_params.ResponseCreateParamsStreaming),
    ("responses.answer", responses.Response),
    ("responses.event", responses.ResponseStreamEvent),
]
# The fields whose objects have a root of their own.
CUTS = {
    ("responses", "input"): "responses.item",
    ("responses", "output"): "responses.item",
    ("responses", "item"): "responses.item",
    ("responses", "response"): "responses.answer",
    ("responses", "part"): "responses.part",
    ("responses", "tools"): "responses.tool",
    ("responses", "tool_choice"): "responses.tool_choice",
    ("chat", "tools"): "chat.tool",
    ("chat", "messages"): "chat.message",
    ("chat", "tool_choice"): "chat.tool_choice",
}
LISTS = ("Iterable", "Sequence", "list", "List", "SequenceNotStr")


def strip(kind):
    while True:
        if get_origin(kind) in (Annotated, te.Required, te.NotRequired, typing.Required, typing.NotRequired):
            kind = get_args(kind)[0]
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        else:
            return kind


def is_list(kind):
    origin = get_origin(kind)
    return origin is not None and getattr(origin, "__name__", "") in LISTS


def members(kind):
    """The members of a union, or the kind itself."""
    kind = strip(kind)
    if get_origin(kind) in (Union, types.UnionType):
        for member in get_args(kind):
            yield from members(member)
    else:
        yield kind


def variants(kind):
    """The members of a union and of its lists."""
    for member in members(kind):
        if is_list(member):
            yield from variants(get_args(member)[0])
        else:
            yield member


def is_required(hint, kind):
    # `__required_keys__` is wrong for types whose annotations are texts.
    marks = (te.Required, typing.Required), (te.NotRequired, typing.NotRequired)
    return get_origin(hint) in marks[0] or (kind.__total__ and get_origin(hint) not in marks[1])


def fields(kind):
    """The name, type and necessity of each field. None if the kind is not an object with known fields."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        known = kind.model_fields
        return {(field.alias or name): (field.annotation, field.is_required()) for name, field in known.items()}
    if te.is_typeddict(kind):
        hints = te.get_type_hints(kind, include_extras=True)
        return {name: (hint, is_required(hint, kind)) for name, hint in hints.items()}
    return None


def shape_of(kind):
    found = list(members(kind))
    if any(fields(member) is not None for member in found):
        return "object"
    for member in found:
        if is_list(member):
            return "list:" + shape_of(get_args(member)[0])
    texts = [str(text) for member in found if get_origin(member) is Literal for text in get_args(member)]
    if str in found:
        return "text"
    if texts and all(text not in ("True", "False") for text in texts):
        return "=" + "|".join(dict.fromkeys(texts))
    if bool in found or texts:
        return "boolean"
    if int in found or float in found:
        return "number"
    return "any"


def tags(known):
    for name in ("type", "role"):
        if name in known:
            found = [
                text
                for variant in variants(known[name][0])
                if get_origin(variant) is Literal
                for text in get_args(variant)
            ]
            if found:
                return name, found
    return None, []


out = {}
done = set()


def add(path, shape, required):
    known = out.get(path)
    if known is None:
        out[path] = (shape, required)
    else:
        # An alternative without the field makes it optional; one with more structure decides the shape.
        better = known[0] if "object" in known[0] or "object" not in shape else shape
        out[path] = (better, known[1] and required)


def walk(path, kind, stack):
    for variant in variants(kind):
        known = fields(variant)
        if known is None or variant in stack or (path, variant) in done:
            continue
        done.add((path, variant))
        tag, values = tags(known)
        for head in [f"{path}({value})" for value in values] or [path]:
            if head not in out:
                add(head, f"by:{tag}" if values else "object", False)
            for name, (field, required) in known.items():
                if name == tag:
                    continue
                add(f"{head}.{name}", shape_of(field), required)
                cut = CUTS.get((path.split(".")[0], name))
                if cut and (path.count(".") <= 1 or name in ("tools", "item", "response", "part")):
                    walk(cut, field, [])
                elif path.startswith("responses.item") and name in ("content", "output", "summary"):
                    walk("responses.part", field, stack + [variant])
                else:
                    walk(f"{head}.{name}", field, stack + [variant])


for root, kind in ROOTS:
    walk(root, kind, [])


def shape_of_node(path):
    """The shape of a field that only Node has, judged by its name."""
    if path.endswith(")"):
        return "by:type"
    if any(other.startswith((path + ".", path + "(")) for other in node):
        return "object"
    return "number" if path.endswith(".index") else "text"


with open(sys.argv[1], encoding="utf-8") as file:
    node = set(file.read().split())
for path in sorted(out.keys() | node):
    shape, required = out.get(path) or (shape_of_node(path), False)
    sdks = "both" if path in out and path in node else "py" if path in out else "node"
    print(path, shape, *(["required"] if required else []), sdks)
