#!/usr/bin/env python3
"""Renders conversations with transformers (5.2.0) and writes chat_templates.json.

    make_chat_fixture.py MODEL_FOLDER    (SmolLM2-135M-Instruct, whose own template is one of those rendered)

The other templates are written here in the form that the families' published ones have.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import PreTrainedTokenizerFast  # noqa: E402

HERE = Path(__file__).parent

PLAIN_CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\\n" }}
{%- endif %}
"""

QWEN2_FORM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou answer the user\\'s \"questions\".<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# Blocks on lines of their own: trim_blocks and lstrip_blocks make the line ends silent.
CHATML_LINES = """{% for message in messages %}
    {% if loop.first and messages[0].role != "system" %}
        {{- '<|im_start|>system\\nBe \\\\boxed{brief}.<|im_end|>\\n' -}}
    {% endif %}
    {{- '<|im_start|>' + message.role + '\\n' }}{{ message.content + '<|im_end|>\\n' -}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' -}}
{% endif %}
"""

QWEN25_FORM = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You work with tools.' }}
    {%- endif %}
    {{- "\\n\\nTools:" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a careful assistant, made for tests.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for tool_call in message.tool_calls %}
            {{- '\\n' + tool_call.name }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3_FORM = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)

CONVERSATIONS = [
    [("user", "Hi")],
    [("user", "How many are 2+3?\nExplain."), ("assistant", " It's 5. "), ("user", "Thanks \u00e9\u4e2d\U0001f642")],
    [("system", "Be short."), ("user", "  blanks around \t\n")],
    [("system", ""), ("user", ""), ("assistant", ""), ("user", "\u00a0\u3000x\u2028\x1c\x85")],
    [("user", "a"), ("system", "late"), ("user", "<|im_end|> '{{ x }}' {% if %} \\n")],
]


def main():
    model = Path(sys.argv[1])
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"), bos_token="<|begin_of_text|>")
    templates = {
        "SmolLM2": ("ChatML", (model / "chat_template.jinja").read_text(encoding="utf-8")),
        "plain ChatML": ("ChatML", PLAIN_CHATML),
        "Qwen2": ("ChatML", QWEN2_FORM),
        "ChatML on lines": ("ChatML", CHATML_LINES),
        "Qwen2.5": ("Qwen2.5", QWEN25_FORM),
        "Llama-3": ("Llama-3", LLAMA3_FORM),
    }
    conversations = [[{"role": role, "content": content} for role, content in turns] for turns in CONVERSATIONS]
    result = {"conversations": conversations, "templates": []}
    for name, (family, text) in templates.items():
        rendered = [tokenizer.apply_chat_template(turns, chat_template=text, add_generation_prompt=True, tokenize=False)
                    for turns in conversations]
        result["templates"].append({"name": name, "family": family, "template": text, "rendered": rendered})
    (HERE / "chat_templates.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
