#!/usr/bin/env python3
"""Renders chat_family_templates.py and later_family_templates.py with transformers (5.2.0; Jinja2 3.1.6) and writes chat_families.json.

    make_chat_family_fixture.py

Per template: cases of conversation, variables (keyword arguments of apply_chat_template) and what is rendered, null where
apply_chat_template refuses. Per snippet: what is rendered, null where it is refused. strftime_now uses the date "now".
"""

import datetime
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from chat_family_templates import FAMILIES, SNIPPETS  # noqa: E402
from later_family_templates import LATER_FAMILIES, LATER_SNIPPETS  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

HERE = Path(__file__).parent
NOW = datetime.datetime(2025, 3, 9, 7, 5, 4)
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
VARIABLES = {"x": "", "n": 3, "text": "h\u00e9llo \U0001f642!", "items": ["a", "b", "c"]}

CONVERSATIONS = [
    [("user", "Hi")],
    [("user", "How many are 2+3?"), ("assistant", "<think>\nTwo and three.\n</think>\n\n It's 5. "), ("user", "Thanks \u00e9\u4e2d\U0001f642")],
    [("system", " Be short.\n"), ("user", "  blanks around \t\n")],
    [("system", "One."), ("user", "a"), ("assistant", "no thought"), ("user", "b"), ("assistant", "x</think>y</think>\n\nz"), ("user", "c")],
    [("user", "a"), ("assistant", "<think>\nopen")],
    [("user", "a"), ("user", "b")],
    [("system", "One."), ("system", "Two."), ("user", "\u00a0\u3000x\u2028\x1c\x85")],
    [("user", "call"), ("assistant", ""), ("tool", "{\"r\": 1}"), ("tool", "2"), ("assistant", "done"), ("user", "<tool_response>x</tool_response>")],
    [("assistant", "I begin.")],
    [("user", "<|im_end|> '{{ x }}' {% if %} \\n"), ("assistant", "</think>")],
]
OPTIONS = [{}, {"enable_thinking": False}, {"enable_thinking": True, "date_string": "26 Jul 2024"}]
OPTIONS_OF = {"Qwen3": OPTIONS, "Llama 3.1": OPTIONS, "SmolLM3": OPTIONS,
              "gpt-oss": [{}, {"reasoning_effort": "high", "model_identity": "I am \u00e9.", "builtin_tools": ["python", "browser"]}]}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(tokenizer, template, messages, options, generation=True):
    try:
        return tokenizer.apply_chat_template(messages, chat_template=template, add_generation_prompt=generation, tokenize=False, **options)
    except Exception as error:  # noqa: BLE001: whatever Jinja or Python refuses
        print(f"refused: {template[:60]!r}: {type(error).__name__}: {error}")
        return None


def main():
    chat_template_utils.datetime = FixedClock
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "qwen2_like/tokenizer.json"), **SPECIAL)
    conversations = [[{"role": role, "content": content} for role, content in turns] for turns in CONVERSATIONS]
    result = {"now": list(NOW.timetuple())[:6], "special": SPECIAL, "conversations": conversations, "templates": [],
              "variables": VARIABLES, "snippets": []}
    for name, text in (FAMILIES | LATER_FAMILIES).items():
        cases = []
        for index, messages in enumerate(conversations):
            for options in OPTIONS_OF.get(name, OPTIONS[:1]):
                cases.append({"conversation": index, "options": options, "rendered": render(tokenizer, text, messages, options)})
        cases.append({"conversation": 1, "options": {"add_generation_prompt": False},
                      "rendered": render(tokenizer, text, conversations[1], {}, generation=False)})
        result["templates"].append({"name": name, "template": text, "cases": cases})
    for text in SNIPPETS + LATER_SNIPPETS:
        result["snippets"].append({"template": text, "rendered": render(tokenizer, text, conversations[1], VARIABLES)})
    (HERE / "chat_families.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
