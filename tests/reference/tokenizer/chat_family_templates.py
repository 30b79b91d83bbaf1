"""Chat templates for make_chat_family_fixture.py: written for this project with the constructs that each family's published
template uses (loops, namespaces, tests, filters, methods, names of special tokens), not with its text."""

LLAMA31 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "01 Feb 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes first, with the dates. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Tools here\\n" + (builtin_tools | reject('equalto', 'code') | join(", ")) + "\\n" }}
{%- endif %}
{{- "Knowledge up to: May 2023\\n" }}
{{- "Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN3 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(looking=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.looking and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.looking = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query %}
            {%- if loop.last or (not loop.last and reasoning) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' + tool_call.name + '"}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

DEEPSEEK = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% set ns = namespace(tool=false, first=true, system='', first_system=true) %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.first_system %}"
    "{% set ns.system = ns.system + message['content'] %}{% set ns.first_system = false %}{%- else %}"
    "{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}"
    "{{ bos_token }}{{ ns.system }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'user' %}{%- set ns.tool = false -%}{{'<\uff5cUser\uff5c>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.tool = false -%}"
    "{%- for tool in message['tool_calls']%}{{ tool['function']['name'] }}{%- endfor %}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}"
    "{%- if ns.tool %}{{'<\uff5ctool\u2581outputs\u2581end\uff5c>' + message['content'] + eos_token}}{%- set ns.tool = false -%}"
    "{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{'<\uff5cAssistant\uff5c>' + content + '<\uff5cend\u2581of\u2581sentence\uff5c>'}}{%- endif %}{%- endif %}"
    "{%- if message['role'] == 'tool' %}{%- set ns.tool = true -%}{%- if ns.first %}"
    "{{'<\uff5ctool\u2581outputs\u2581begin\uff5c>' + message['content']}}{%- set ns.first = false %}{%- else %}"
    "{{'\\n' + message['content']}}{%- endif %}{%- endif %}{%- endfor -%}"
    "{% if ns.tool %}{{'<\uff5ctool\u2581outputs\u2581end\uff5c>'}}{% endif %}"
    "{% if add_generation_prompt and not ns.tool %}{{'<\uff5cAssistant\uff5c><think>\\n'}}{% endif %}")

MISTRAL1 = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
    "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}\n\n"
    "{{- bos_token }}\n{%- for message in loop_messages %}\n"
    "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{- raise_exception('roles must take turns: user, assistant, user') }}\n    {%- endif %}\n"
    "    {%- if message['role'] == 'user' %}\n"
    "        {%- if loop.first and system_message is defined %}\n"
    "            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}\n        {%- else %}\n"
    "            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n        {%- endif %}\n"
    "    {%- elif message['role'] == 'assistant' %}\n        {{- ' ' + message['content'] + eos_token}}\n"
    "    {%- else %}\n        {{- raise_exception('a role that is not known: ' + message['role']) }}\n    {%- endif %}\n{%- endfor %}\n")

MISTRAL3 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("Turns must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles, not " + message.role) }}
    {%- endif %}
{%- endfor %}
"""

MISTRAL_SMALL = """{%- set today = strftime_now("%Y-%m-%d") %}
{%- set default_system = "You help.\\nToday is " + today + "." %}
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- if messages[0]['content'] is string %}
        {%- set system_message = messages[0]['content'] %}
    {%- else %}
        {%- set system_message = messages[0]['content'][0]['text'] %}
    {%- endif %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = default_system %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}
{%- for message in loop_messages %}
    {%- if message['role'] == 'user' %}
        {%- if message['content'] is string %}
            {{- '[INST]' + message['content'] + '[/INST]' }}
        {%- else %}
            {{- '[INST]' }}
            {%- for block in message['content'] %}
                {{- block['text'] if block['type'] == 'text' else '[IMG]' }}
            {%- endfor %}
            {{- '[/INST]' }}
        {%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {{- message['content'] + eos_token }}
    {%- elif message['role'] == 'system' %}
        {{- '[SYSTEM_PROMPT]' ~ message['content'] ~ '[/SYSTEM_PROMPT]' }}
    {%- else %}
        {{- raise_exception('Only user, system and assistant roles.') }}
    {%- endif %}
{%- endfor %}"""

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Turns must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")

MACROS = """{%- macro turn(role, content='', end=true) -%}
    <|im_start|>{{ role }}
{{ content }}{% if end %}<|im_end|>{% endif %}

{% endmacro -%}
{%- for message in messages -%}
    {%- generation %}{{ turn(message.role, content=message.content) }}{% endgeneration -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ turn('assistant', end=false) | trim }}{{ '\\n' }}{% endif %}
"""

FAMILIES = {"Llama 3.1": LLAMA31, "Qwen3": QWEN3, "DeepSeek-R1": DEEPSEEK, "Mistral 0.1": MISTRAL1, "Mistral 0.3": MISTRAL3,
            "Mistral Small": MISTRAL_SMALL, "Llama 2": LLAMA2, "macros": MACROS}

# One construct each, with what is easy to get wrong. They are given messages, bos_token and the variables x, n, text, items.
SNIPPETS = [
    "a\n", "a\n\n", "\n a \n", "a\r\nb\rc\r\n", "{{ 'x\r\ny' }}", "  {% if true %}\n  a\n  {% endif %}\n  b", "  {{ 'a' }}\n  {{ 'b' }}\n",
    "a {%- if true -%} b {%- endif -%} c", "a\n  {#- note -#}\n b", "a\n  {# note #}\n b", " {#- x #} y", "{# a\nb #}c", "x {%+ if true %}\na{% endif +%}\nb",
    "  {%+ if true %}a{% endif %}", "a  {% if true %}b{% endif %}  c", "{% if true %}a{% endif %}\n\n  {% if true %}b{% endif %}\n", "\t{% set y = 1 %}\t{{ y }}",
    "{{ none }} {{ true }} {{ false }} {{ 12 }} {{ missing }}|", "{{ missing is defined }} {{ x is defined }} {{ x.y is defined }} {{ none is none }}",
    "{{ 'a' 'b' \"c'd\" }}", "{{ '\\x41\\u00e9\\U0001f642\\t\\\\\\q\\'' }}", "{{ \"é中\" }}", "{{ '\\\ny' }}",
    "{{ 1 + 2 * 3 - 4 // 3 % 5 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 // -2 }} {{ -n }} {{ +n }} {{ - n + 1 }}", "{{ 1 ~ 'a' ~ none ~ true }}", "{{ 'a' + 'b' * 1 if false else 'c' }}",
    "{{ 1 if false }}|{{ 1 if true }}", "{{ 'a' if n > 3 else 'b' if n > 2 else 'c' }}", "{{ not x or n }} {{ x and n }} {{ '' or 'e' }} {{ 0 and 1 }} {{ not not n }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 1 == true }} {{ 'a' == 1 }} {{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1} }} {{ none == missing }} {{ missing == missing2 }}",
    "{{ 'a' in 'cat' }} {{ 'a' not in 'cat' }} {{ 2 in [1, 2] }} {{ 'role' in messages[0] }} {{ 'x' in messages[0] }} {{ 'x' in missing }} {{ 'a' in missing or 'b' not in 'c' }}",
    "{{ text[0] }}{{ text[-1] }}{{ text[1:3] }}|{{ text[::-1] }}|{{ text[-3:] }}|{{ text[:-2] }}|{{ text[5:1:-2] }}|{{ text[100:] }}|{{ text[99] }}|{{ text[::2] }}|{{ text[-100:2] }}",
    "{{ items[1:] | join('-') }} {{ items[::-1] | join }} {{ items[-1] }} {{ items[7] }}| {{ items[:0] | length }} {{ items[2:0:-1] | join }} {{ items[-9:9] | join }}",
    "{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages[0].none }} {{ messages[9] }}| {{ messages | length }} {{ messages[0] | length }} {{ text | length }}",
    "{{ messages[9].role }}", "{{ missing.a }}", "{{ missing['a'] }}", "{{ missing() }}", "{{ none.a }}|{{ n.a }}|{{ text.nothing }}|", "{{ missing + 'a' }}", "{{ 'a' + 1 }}", "{{ 'a' + none }}",
    "{% for i in items %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for i in items if i != 'b' %}{{ i }}{{ loop.length }}{% else %}none{% endfor %}{% for i in items if false %}{{ i }}{% else %}none{% endfor %}{% for i in missing %}x{% else %}e{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{% for k in messages[0] %}{{ k }}{% endfor %}{% for c in 'h\u00e9' %}<{{ c }}>{% endfor %}{% for a, b in [[1, 2], (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for k, v in messages[0] | items %}{{ k }}={{ v }};{% endfor %}{{ messages[0].keys() | join(',') }} {{ messages[0].values() | join(',') }} {{ messages[0].get('role') }} {{ messages[0].get('q', 5) }} {{ messages[0].get('q') }}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(2, 9, 3) | join(',') }} {{ range(3, 0, -1) | join }}",
    "{% set y = 1 %}{% for i in items %}{{ y }}{% set y = i %}{{ y }}{% endfor %}{{ y }}", "{% set y = 1 %}{% if true %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% for i in items %}{% if loop.first %}{% set z = i %}{% endif %}{{ z }},{% endfor %}{{ z }}|", "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% set ns = namespace(a=1, b='x') %}{% for i in items %}{% set ns.a = ns.a + 1 %}{% set ns.b = ns.b ~ i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|{{ ns['a'] }}", "{% set x.y = 1 %}", "{% set missing.y = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set (a, b) = [3, 4] %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set y %} a {{ n }} {% endset %}[{{ y }}]{{ y | length }}", "{% set y = 1, 2 %}{{ y | join('+') }}",
    "{% macro m(a, b='d', c=n) %}{{ a }}{{ b }}{{ c }}{{ x }};{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1) | upper }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% set y = 5 %}{% macro m() %}{{ y }}{% set y = 6 %}{{ y }}{% endmacro %}{{ m() }}{{ y }}", "{% macro m(k) %}{% if k > 0 %}{{ k }}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(4) }}",
    "{{ '  a b \t\n' | trim }}|{{ '--a-' | trim('-') }}|{{ '\u00a0x\u3000' | trim }}|{{ '  a ' .strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcab'.rstrip('ab') }}|{{ 'abcab'.lstrip('ba') }}|{{ '\u00e9\u00e8a'.lstrip('\u00e8\u00e9') }}",
    "{{ 'a,b,,c'.split(',') | join('|') }} {{ ' a  b '.split() | join('|') }} {{ 'a,b,c'.split(',', 1) | join('|') }} {{ 'a,b,c'.rsplit(',', 1) | join('|') }} {{ ''.split(',') | length }} {{ ''.split() | length }} {{ 'abc'.split('</t>')[-1] }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('') }} {{ 'abcabc'.replace('b', 'XX') }} {{ 'abcabc'.replace('b', '', 1) }} {{ 'ab'.replace('', '-') }} {{ 'h\u00e9b'.find('b') }} {{ 'abc'.find('z') }} {{ 'aXbX'.count('X') }}",
    "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'a.py'.removesuffix('.py') }} {{ ', '.join(items) }} {{ 'aB c'.upper() }} {{ 'aB C'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hELLO'.capitalize() }} {{ 'stra\u00dfe \u0130\u01c5'.upper() }} {{ '\u0391\u03a3 \u0130X'.lower() }}",
    "{{ items | first }}{{ items | last }}{{ [] | first }}|{{ text | first }} {{ items | reverse | join }} {{ 'abc' | reverse }} {{ items | list | length }} {{ 'ab' | list | join('.') }} {{ 5 | string + 'a' }} {{ 'a<b' | safe }}",
    "{{ missing | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ none | default('d') }} {{ none | d('e', boolean=true) }} {{ missing | default }}|",
    "{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'x' | upper | lower }} {{ 'hello there' | title }} {{ 'aBC' | capitalize }}", "{{ 12 | length }}",
    "{{ messages | map(attribute='role') | join(',') }} {{ items | map('upper') | join }} {{ messages | map(attribute='q', default='-') | join }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'in', ['user']) | map(attribute='content') | join('/') }} {{ messages | selectattr('q') | list | length }}",
    "{{ [1, 2, 3, 4] | select('odd') | join }} {{ [1, 2, 3] | reject('equalto', 2) | join }} {{ ['', 'a'] | select | join('|') }} {{ messages | selectattr('q', 'defined') | list | length }} {{ [1, 5] | select('gt', 3) | join }}",
    "{{ messages[0] | tojson }} {{ [1, true, none, 'a\"\\n\\t\u00e9</x>', {'k': []}] | tojson }} {{ '\\x01\\x7f\\x08\\x0c' | tojson }} {{ {} | tojson }}",
    "{{ n is number }}{{ n is integer }}{{ true is integer }}{{ true is number }}{{ true is boolean }}{{ text is string }}{{ items is iterable }}{{ items is sequence }}{{ messages[0] is mapping }}{{ items is mapping }}{{ text is iterable }}{{ missing is iterable }}{{ none is iterable }}{{ n is iterable }}{{ messages[0] is sequence }}",
    "{{ true is true }}{{ 1 is true }}{{ false is false }}{{ n is not none }}{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ 1 is in [1] }}{{ 'a' is not in 'bcd' }}{{ n is eq 3 }}{{ n is equalto(3) }}{{ 2 is gt 1 }}{{ range is callable }}{{ n is lt n }}{{ not n is defined }}",
    "{% if n == 1 %}a{% elif n == 3 %}b{% elif missing.x %}c{% else %}d{% endif %}", "{% if missing %}a{% else %}b{% endif %}{% if '' %}a{% endif %}{% if [] %}a{% endif %}{% if {} %}a{% endif %}{% if 0 %}a{% endif %}{% if 'x' %}y{% endif %}",
    "{{ {'a': 1, 'b': {'c': 'd'}}['b'].c }} {{ {'a': 1}.a }} {{ dict(a=1).a }} {{ {'a': 1, 'a': 2}.a }} {{ {}.x }}| {{ {'a': {'b': 1}}['a']['b'] }}", "{{ (1, 2)[0] }}{{ [[1, 2], [3]][0][1] }}{{ () | length }}{{ [1,] | length }}{{ (n) }}",
    "{{ raise_exception('no ' + text) }}", "{{ unknown_function(1) }}", "{{ text | no_such_filter }}", "{{ text is no_such_test }}", "{{ text.encode() }}", "{% include 'x' %}", "{{ 5 / 2 }}", "{{ 1.5 }}", "{{ 2 ** 3 }}", "{{ items }}", "{{ messages[0] }}",
    "{{ 'a", "{{ a", "{% if true %}a", "{% endif %}", "{% for i in items %}", "{{ a b }}", "{{ (1 }}", "{{ }}", "{% %}", "{{ 'a' }", "{# a", "{{ [1, 2 }}", "{{ 1 + }}", "{{ a. }}", "{{ a | }}", "{{ 'a' is }}", "{% set = 1 %}", "{% break %}", "{{ 1 2 }}", "{% for in x %}{% endfor %}",
    "{{ '{{' }} {{ '%}' }} {{ '}}' }} { { } } {a} %} }} {", "{{ {'a': {'b': 'c'}}['a']['b']}}", "{{'a'}}{{'b'-}}  \n c", "{{- 'a' -}}\n\n{{- 'b' }}", "{%-if n==3-%}x{%-endif-%}", "{% if not(n == 3) %}a{% endif %}{% if(n == 3) %}b{%endif%}",
    "{{ x | default(missing) is defined }} {{ text is defined and text != '' }} {{ 'a' if text is string and n is not string else 'b' }}", "{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}",
    "{{ text | trim + '!' }} {{ - 3 | string }} {{ 1 + 2 ~ 3 }} {{ 2 * 3 ~ 4 }} {{ 'x' in 'xy' and not 'z' in 'xy' }} {{ 1 == 1 == true }} {{ n in [3] == true }}",
    "{{ 'a' ~ 1 + 2 }}", "{% generation %}a{% endgeneration %}b", "{% for m in messages recursive %}a{% endfor %}", "{% set f = text.upper %}{{ f is defined }}", "{{ text.upper is defined }}{{ messages[0].items is defined }}{{ messages[0].role.title() }}", "{{ loop }}|", "{% set tools = tools if tools else 'none' %}{{ tools }}", "{{ documents is none }}{{ tools is none }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %y %p %I %%') }}", "{{ 'x'.join(['a', 1]) }}", "{{ [1] + [2, 3] == [1, 2, 3] }} {{ ([1] + items) | join }}", "{{ 'A' < 'a' }} {{ 'a' <= 'a' }} {{ 'b' >= 'a' > 'A' }}", "{{ 1 < 'a' }}", "{% macro outer() %}{% for i in [1] %}{{ i }}{{ text }}{% endfor %}{% endmacro %}{% for text in ['in'] %}{{ outer() }}{% endfor %}",
    "{{ none | selectattr('a') | list | length }}{{ none | select('string') | list | length }}{{ none | map('upper') | list | length }}",
    "{{ 0 | rejectattr('a', 'equalto', 'x') | list | length }}{{ '' | map(attribute='a') | list | length }}{{ false | reject | list | length }}",
    "{{ none | list }}", "{{ none | first }}", "{{ none | join }}",
]
