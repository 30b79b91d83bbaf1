#!/usr/bin/env python3
"""Renders rows of messages with all their fields with transformers (5.2.0; Jinja2 3.1.6) and writes chat_rows.json.

    make_chat_rows_fixture.py

Per case: the row as a line of JSONL, the name of its template in chat_families.json, what apply_chat_template renders of it (with
the generation prompt, or without where "add_generation_prompt" is false), null where it refuses. Templates that ask for the date get 2026-11-28, on whatever day this runs.
"""

import datetime
import json
import os
from pathlib import Path
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"
from chat_family_templates import FAMILIES  # noqa: E402
from later_family_templates import LATER_FAMILIES  # noqa: E402
from make_chat_family_fixture import SPECIAL  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

HERE = Path(__file__).parent
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells \u00e9 the 'weather'.", "parameters": {
    "type": "object", "required": ["place"], "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 1}}}}}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"place": "Oslo", "days": 2, "also": None, "b": [1, True]}}}
USER = {"role": "user", "content": "hi"}
ROWS = [
    {"messages": [USER], "chat_template_kwargs": {"enable_thinking": False}},
    {"messages": [USER, {"role": "assistant", "content": "A", "reasoning_content": "because"}, {"role": "tool", "content": "5"}]},
    {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "5"}]},
    {"messages": [USER, {"role": "assistant", "content": "calling", "tool_calls": [CALL, CALL]}, {"role": "tool", "content": "5"}]},
    {"messages": [USER], "tools": [TOOL]},
    {"messages": [{"role": "system", "content": "s"}, USER], "tools": [TOOL, TOOL], "id": 7},
    {"prompt": [USER], "tools": [TOOL], "chat_template_kwargs": {"date_string": "05 May 2025", "enable_thinking": True}},
]
# Parameters of every kind that harmony's TypeScript knows.
PARAMETERS = {"type": "object", "required": ["place", "unit"], "properties": {
    "place": {"type": "string", "description": "Where, \u00e9."}, "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
    "days": {"type": "array", "items": {"type": "integer"}, "nullable": True}, "grid": {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}},
    "any": {"type": "array"}, "either": {"type": ["string", "null"]}, "one": {"oneOf": [{"type": "string", "default": "x"}, {"type": "number", "description": "n"}]},
    "deep": {"type": "object", "required": ["a"], "properties": {"a": {"type": "boolean"}, "b": {"type": "object"}}}, "other": {}, "count": {"type": "integer", "default": 3}}}
RICH = {"type": "function", "function": {"name": "weather", "description": "Tells.", "parameters": PARAMETERS}}
BARE = {"type": "function", "function": {"name": "now", "description": "The time."}}
LATER_ROWS = ROWS + [
    {"messages": [USER], "tools": [RICH, BARE]},
    {"messages": [{"role": "developer", "content": "Be short."}, USER], "tools": [BARE], "chat_template_kwargs": {"reasoning_effort": "low"}},
    {"messages": [USER, {"role": "assistant", "thinking": "because", "tool_calls": [CALL]}, {"role": "tool", "content": "{\"t\": 5}"}]},
    {"messages": [USER, {"role": "assistant", "content": "", "thinking": "because", "tool_calls": [CALL]}, {"role": "tool", "content": "5"},
                  {"role": "assistant", "content": "It is 5."}, USER]},
    {"messages": [USER, {"role": "assistant", "content": "x", "thinking": "y", "tool_calls": [CALL]}, {"role": "tool", "content": "5"}]},
    {"messages": [USER, {"role": "tool", "content": "5"}]},
    {"messages": [{"role": "system", "content": "s", "tools": "[{}]", "functions": "f()"}, USER, {"role": "assistant", "content": "", "function_calls": "f()"}, USER]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
                  {"role": "user", "content": [{"type": "text", "text": " c "}, {"type": "image"}]}]},
    {"messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}, {"role": "user", "content": []}]},
    {"messages": [USER, {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": ""}}]}, {"role": "tool", "content": "5"}]},
    {"messages": [{"role": "system", "content": "s /no_think x /system_override"}, USER], "chat_template_kwargs": {"enable_thinking": True}},
    {"messages": [{"role": "system", "content": "s /think"}, USER, {"role": "assistant", "content": "\n\na"}, USER], "chat_template_kwargs": {"enable_thinking": False}},
]


def render(tokenizer, template, row):
    try:
        return tokenizer.apply_chat_template(row.get("messages", row.get("prompt")), chat_template=template, tools=row.get("tools"), tokenize=False,
                                             add_generation_prompt=True, **row.get("chat_template_kwargs", {}))
    except Exception as error:  # noqa: BLE001: whatever Jinja or Python refuses
        print(f"refused: {row}: {type(error).__name__}: {error}")
        return None


class FixedDay(datetime.datetime):
    """The clock for transformers' strftime_now."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 28, tzinfo=tz)


@mock.patch("transformers.utils.chat_template_utils.datetime", FixedDay)
def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "qwen2_like/tokenizer.json"), **SPECIAL)
    templates = FAMILIES | LATER_FAMILIES
    rows = [(name, row) for name in ("Qwen3", "Llama 3.1") for row in ROWS]
    rows += [(name, row) for name in ("gpt-oss", "Gemma 3", "OLMo-3", "SmolLM3", "Ministral 3", "Phi-4-mini") for row in LATER_ROWS]
    cases = [{"row": json.dumps(row), "template": name, "rendered": render(tokenizer, templates[name], row)} for name, row in rows]
    (HERE / "chat_rows.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
