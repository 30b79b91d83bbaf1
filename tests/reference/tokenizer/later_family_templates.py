"""More of chat_family_templates.py: templates with the constructs of Phi, gpt-oss, Gemma, OLMo, SmolLM3 and Ministral 3, written
for this project, and not with the published texts."""

PHI3 = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}")

PHI4 = (
    "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + '<|im_end|>'}}"
    "{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}"
    "{% elif (message['role'] == 'assistant') %}{% generation %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}"
    "{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}")

PHI4_MINI = (
    "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}"
    "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}")

GPT_OSS = """{#- Types of a tool's parameters, as TypeScript writes them. -#}
{%- macro typescript(spec, required, nullable=false) -%}
    {%- if spec.type == "array" -%}
        {%- if spec['items'] -%}
            {%- if spec['items']['type'] in ["string", "number", "integer"] -%}
                {{- ("number" if spec['items']['type'] != "string" else "string") + "[]" }}
            {%- else -%}
                {%- set inner = typescript(spec['items'], required) -%}
                {%- if inner == "any" or inner|length > 50 %}{{- "any[]" }}{%- else %}{{- inner + "[]" }}{%- endif -%}
            {%- endif -%}
            {%- if spec.nullable -%}{{- " | null" }}{%- endif -%}
        {%- else -%}
            {{- "any[]" }}
        {%- endif -%}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping and spec.type[0] is defined -%}
        {%- if spec.type | length > 1 -%}{{- spec.type | join(" | ") }}{%- else -%}{{- spec.type[0] }}{%- endif -%}
    {%- elif spec.oneOf -%}
        {%- for variant in spec.oneOf -%}
            {{- typescript(variant, required) -}}
            {%- if variant.description %}{{- "// " + variant.description }}{%- endif -%}
            {%- if variant.default is defined %}{{ "// default: " + variant.default|tojson }}{%- endif -%}
            {%- if not loop.last %}{{- " | " }}{%- endif -%}
        {%- endfor -%}
    {%- elif spec.type == "string" -%}
        {%- if spec.enum -%}{{- '"' + spec.enum|join('" | "') + '"' -}}{%- else -%}{{- "string" }}{%- if spec.nullable %}{{- " | null" }}{%- endif -%}{%- endif -%}
    {%- elif spec.type in ("number", "integer") -%}
        {{- "number" }}
    {%- elif spec.type == "boolean" -%}
        {{- "boolean" }}
    {%- elif spec.type == "object" -%}
        {%- if spec.properties -%}
            {{- "{\\n" }}
            {%- for name, property in spec.properties.items() -%}
                {{- name -}}{%- if name not in (spec.required or []) -%}{{- "?" }}{%- endif -%}
                {{- ": " }}{{ typescript(property, spec.required or []) }}{%- if not loop.last -%}{{-", " }}{%- endif -%}
            {%- endfor -%}
            {{- "}" }}
        {%- else -%}
            {{- "object" }}
        {%- endif -%}
    {%- else -%}
        {{- "any" }}
    {%- endif -%}
{%- endmacro -%}

{%- macro namespace_of(title, tools) -%}
    {{- "## " + title + "\\n\\n" }}{{- "namespace " + title + " {\\n\\n" }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- "// " + tool.description + "\\n" }}{{- "type "+ tool.name + " = " }}
        {%- if tool.parameters and tool.parameters.properties %}
            {{- "(_: {\\n" }}
            {%- for name, spec in tool.parameters.properties.items() %}
                {%- if spec.description %}{{- "// " + spec.description + "\\n" }}{%- endif %}
                {{- name }}
                {%- if name not in (tool.parameters.required or []) -%}{{- "?" }}{%- endif -%}
                {{- ": " }}{{- typescript(spec, tool.parameters.required or []) }}
                {%- if spec.default is defined -%}
                    {%- if spec.enum %}{{- ", // default: " + spec.default }}{%- else %}{{- "," }}{%- endif -%}
                {%- else %}{{- ",\\n" }}{%- endif -%}
            {%- endfor %}
            {{- "}) => any;\\n\\n" }}
        {%- else -%}
            {{- "() => any;\\n\\n" }}
        {%- endif -%}
    {%- endfor %}
    {{- "} // namespace " + title }}
{%- endmacro -%}

{%- macro system_message() -%}
    {%- if model_identity is not defined %}{%- set model_identity = "You are a model." %}{%- endif %}
    {{- model_identity + "\\n" }}{{- "Knowledge cutoff: 2024-06\\n" }}{{- "Current date: " + strftime_now("%Y-%m-%d") + "\\n\\n" }}
    {%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}
    {{- "Reasoning: " + reasoning_effort + "\\n\\n" }}
    {%- if builtin_tools is defined and builtin_tools is not none %}
        {%- set known = namespace(browser=false, python=false) %}
        {%- for tool in builtin_tools %}
            {%- if tool == "browser" %}{%- set known.browser = true %}{%- elif tool == "python" %}{%- set known.python = true %}{%- endif %}
        {%- endfor %}
        {{- "# Tools: " ~ known.browser ~ known.python ~ "\\n\\n" }}
    {%- endif -%}
    {{- "# Valid channels: analysis, commentary, final." }}
    {%- if tools -%}{{- "\\nCalls to 'functions' go to the commentary channel." }}{%- endif -%}
{%- endmacro -%}

{{- "<|start|>system<|message|>" }}{{- system_message() }}{{- "<|end|>" }}
{%- if messages[0].role == "developer" or messages[0].role == "system" %}
    {%- set developer_message = messages[0].content %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set developer_message = "" %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if developer_message or tools %}
    {{- "<|start|>developer<|message|>" }}
    {%- if developer_message %}{{- "# Instructions\\n\\n" }}{{- developer_message }}{%- endif %}
    {%- if tools -%}
        {%- if developer_message %}{{- "\\n\\n" }}{%- endif %}
        {{- "# Tools\\n\\n" }}{{- namespace_of("functions", tools) }}
    {%- endif -%}
    {{- "<|end|>" }}
{%- endif %}
{%- set last_call = namespace(name=none) %}
{%- for message in loop_messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "content" in message %}
            {%- if "<|channel|>analysis<|message|>" in message.content or "<|channel|>final<|message|>" in message.content %}
                {{- raise_exception("channel tags belong to 'thinking'") }}
            {%- endif %}
        {%- endif %}
        {%- if "tool_calls" in message %}
            {%- set later = namespace(found=false) %}
            {%- for future in loop_messages[loop.index:] %}
                {%- if future.role == 'assistant' and "tool_calls" not in future %}{%- set later.found = true %}{%- endif %}
            {%- endfor %}
            {%- set tool_call = message.tool_calls[0] %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {%- if message.content and message.thinking %}
                {{- raise_exception("content or thinking, not both") }}
            {%- elif message.content and not later.found %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.content + "<|end|>" }}
            {%- elif message.thinking and not later.found %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
            {%- endif %}
            {{- "<|start|>assistant to=" }}{{- "functions." + tool_call.name + "<|channel|>commentary " }}
            {{- (tool_call.content_type if tool_call.content_type is defined else "json") + "<|message|>" }}
            {{- tool_call.arguments|tojson }}{{- "<|call|>" }}
            {%- set last_call.name = tool_call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {%- if "thinking" in message %}{{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}{%- endif %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|return|>" }}
        {%- else %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
            {%- set last_call.name = none %}
        {%- endif %}
    {%- elif message.role == 'tool' -%}
        {%- if last_call.name is none %}{{- raise_exception("a tool's answer without a call before it") }}{%- endif %}
        {{- "<|start|>functions." + last_call.name }}{{- " to=assistant<|channel|>commentary<|message|>" + message.content|tojson + "<|end|>" }}
    {%- elif message.role == 'user' -%}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}"""

GEMMA2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}"
    "{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}")

GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception("Roles must alternate") }}{%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}
"""

OLMO2 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}"
    "{% if not loop.last %}{{ '<|assistant|>\\n'  + message['content'] + eos_token + '\\n' }}{% else %}"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}{% endif %}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}")

OLMO3 = (
    "{%- set has_system = messages|selectattr('role', 'equalto', 'system')|list|length > 0 -%}{%- if not has_system -%}"
    "{{- '<|im_start|>system\\nYou help. ' -}}{%- if tools is none -%}{{- 'No tools. <functions></functions><|im_end|>\\n' -}}{%- else -%}"
    "{{- '<functions>' -}}{{- tools | tojson -}}{{- '</functions><|im_end|>\\n' -}}{%- endif -%}{%- endif -%}"
    "{%- for message in messages -%}{%- if message['role'] == 'system' -%}{{- '<|im_start|>system\\n' + message['content'] -}}"
    "{%- if tools is not none -%}{{- ' <functions>' -}}{{- tools | tojson -}}{{- '</functions>' -}}"
    "{%- elif message.get('functions', none) is not none -%}{{- ' <functions>' + message['functions'] + '</functions>' -}}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}{%- elif message['role'] == 'user' -%}{{- '<|im_start|>user\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- elif message['role'] == 'assistant' -%}{{- '<|im_start|>assistant\\n' -}}"
    "{%- if message.get('content', none) is not none -%}{{- message['content'] -}}{%- endif -%}"
    "{%- if message.get('function_calls', none) is not none -%}{{- '<function_calls>' + message['function_calls'] + '</function_calls>' -}}"
    "{%- elif message.get('tool_calls', none) is not none -%}{{- '<function_calls>' -}}{%- for tool_call in message['tool_calls'] -%}"
    "{%- if tool_call is mapping and tool_call.get('function', none) is not none -%}{%- set args = tool_call['function']['arguments'] -%}"
    "{%- set ns = namespace(list=[]) -%}{%- for name, value in args.items() -%}{%- set ns.list = ns.list + [name ~ '=' ~ (value | tojson)] -%}"
    "{%- endfor -%}{{- tool_call['function']['name'] + '(' + ns.list | join(', ') + ')' -}}{%- if not loop.last -%}{{ '\\n' }}{%- endif -%}"
    "{%- endif -%}{%- endfor -%}{{- '</function_calls>' -}}{%- endif -%}{%- if not loop.last -%}{{- '<|im_end|>' + '\\n' -}}"
    "{%- else -%}{{- eos_token -}}{%- endif -%}{%- elif message['role'] in ['environment', 'tool'] -%}"
    "{{- '<|im_start|>environment\\n' + message['content'] + '<|im_end|>\\n' -}}{%- endif -%}"
    "{%- if loop.last and add_generation_prompt -%}{{- '<|im_start|>assistant\\n<think>' -}}{%- endif -%}{%- endfor -%}")

SMOLLM3 = """{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- if enable_thinking -%}{%- set reasoning_mode = "/think" -%}{%- else -%}{%- set reasoning_mode = "/no_think" -%}{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if messages[0].role == "system" -%}
    {%- set system_message = messages[0].content -%}
    {%- if "/no_think" in system_message -%}{%- set reasoning_mode = "/no_think" -%}
    {%- elif "/think" in system_message -%}{%- set reasoning_mode = "/think" -%}{%- endif -%}
    {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{%- if "/system_override" in system_message -%}
    {{- custom_instructions.replace("/system_override", "").rstrip() -}}{{- "<|im_end|>\\n" -}}
{%- else -%}
    {{- "## Metadata\\n\\n" -}}{%- set today = strftime_now("%d %B %Y") -%}{{- "Today Date: " ~ today ~ "\\n" -}}
    {{- "Reasoning Mode: " + reasoning_mode + "\\n\\n" -}}{{- "## Custom Instructions\\n\\n" -}}
    {%- if custom_instructions -%}{{- custom_instructions + "\\n\\n" -}}
    {%- elif reasoning_mode == "/think" -%}{{- "Think, between <think> and </think>.\\n\\n" -}}{%- else -%}{{- "Help.\\n\\n" -}}{%- endif -%}
    {%- if xml_tools or python_tools or tools -%}
        {{- "### Tools\\n\\n" -}}
        {%- if xml_tools or tools -%}
            {%- if tools -%}{%- set xml_tools = tools -%}{%- endif -%}
            {%- set ns = namespace(xml_tool_string="Functions:\\n\\n<tools>\\n") -%}
            {%- for tool in xml_tools[:] -%}{%- set ns.xml_tool_string = ns.xml_tool_string ~ (tool | tojson) ~ "\\n" -%}{%- endfor -%}
            {%- set xml_tool_string = ns.xml_tool_string + "</tools>" -%}{{- xml_tool_string -}}
        {%- endif -%}
        {{- "\\n\\n" -}}
    {%- endif -%}
    {{- "<|im_end|>\\n" -}}
{%- endif -%}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- elif message.role == "tool" -%}
        {{ "<|im_start|>" + "user\\n"  + content + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if reasoning_mode == "/think" -%}{{ "<|im_start|>assistant\\n" }}{%- else -%}{{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}{%- endif -%}
{%- endif -%}
"""

MINISTRAL3 = """{#- Default system message if no system prompt is passed. #}
{%- set default_system_message = 'You are a model.' %}
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {{- '[SYSTEM_PROMPT]' -}}
    {%- if messages[0]['content'] is string %}
        {{- messages[0]['content'] -}}
    {%- else %}
        {%- for block in messages[0]['content'] %}
            {%- if block['type'] == 'text' %}{{- block['text'] }}{%- else %}{{- raise_exception('Only text here.') }}{%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '[/SYSTEM_PROMPT]' -}}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
    {%- if default_system_message != '' %}{{- '[SYSTEM_PROMPT]' + default_system_message + '[/SYSTEM_PROMPT]' }}{%- endif %}
{%- endif %}
{%- set tools_definition = '' %}
{%- set has_tools = false %}
{%- if tools is defined and tools is not none and tools|length > 0 %}
    {%- set has_tools = true %}
    {%- set tools_definition = '[AVAILABLE_TOOLS]' + (tools| tojson) + '[/AVAILABLE_TOOLS]' %}
    {{- tools_definition }}
{%- endif %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and (message.tool_calls is not defined or message.tool_calls is none or message.tool_calls | length == 0)) %}
        {%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}
            {{- raise_exception('after a system message, user and assistant take turns') }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{%- for message in loop_messages %}
    {%- if message['role'] == 'user' %}
        {%- if message['content'] is string %}
            {{- '[INST]' + message['content'] + '[/INST]' }}
        {%- elif message['content'] | length > 0 %}
            {{- '[INST]' }}
            {%- for block in message['content'] %}
                {%- if block['type'] == 'text' %}{{- block['text'] }}{%- elif block['type'] in ['image', 'image_url'] %}{{- '[IMG]' }}{%- endif %}
            {%- endfor %}
            {{- '[/INST]' }}
        {%- else %}
            {{- raise_exception('a user message needs content') }}
        {%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {%- if (message['content'] is none or message['content'] == '' or message['content']|length == 0) and (message['tool_calls'] is not defined or message['tool_calls'] is none or message['tool_calls']|length == 0) %}
            {{- raise_exception('an assistant message needs content or tool calls') }}
        {%- endif %}
        {%- if message['content'] is string %}{{- message['content'] }}{%- endif %}
        {%- if message['tool_calls'] is defined and message['tool_calls'] is not none and message['tool_calls']|length > 0 %}
            {%- for tool in message['tool_calls'] %}
                {%- set arguments = tool['function']['arguments'] %}
                {%- if arguments is not string %}{%- set arguments = arguments|tojson|safe %}{%- elif arguments == '' %}{%- set arguments = '{}' %}{%- endif %}
                {{- '[TOOL_CALLS]' + tool['function']['name'] + '[ARGS]' + arguments }}
            {%- endfor %}
        {%- endif %}
        {{- eos_token }}
    {%- elif message['role'] == 'tool' %}
        {{- '[TOOL_RESULTS]' + message['content']|string + '[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception('Only user, assistant and tool roles, got ' + message['role'] + '.') }}
    {%- endif %}
{%- endfor %}
"""

LATER_FAMILIES = {"Phi-3": PHI3, "Phi-4": PHI4, "Phi-4-mini": PHI4_MINI, "gpt-oss": GPT_OSS, "Gemma 2": GEMMA2, "Gemma 3": GEMMA3,
                  "OLMo-2": OLMO2, "OLMo-3": OLMO3, "SmolLM3": SMOLLM3, "Ministral 3": MINISTRAL3}

# As SNIPPETS of chat_family_templates.py: what these templates do, with what is easy to get wrong.
LATER_SNIPPETS = [
    "{% macro m() %}{% if y is not defined %}{% set y = 'd' %}{% endif %}{{ y }}{% endmacro %}{{ m() }}{{ y is defined }}{% set y = 'g' %}{{ m() }}{{ y }}",
    "{% macro a(k) %}{{ '<' + b(k) + '>' }}{% endmacro %}{% macro b(k) %}{% if k %}{{ a(k - 1) }}{% else %}.{% endif %}{% endmacro %}{{ a(2) }}",
    "{% set s = {'type': ['a', 'b'], 'items': {'type': 'c'}} %}{{ s.type | join(' | ') }}{{ s['items']['type'] }}{{ s.type[0] is defined }}{{ s.type[9] is defined }}{{ s.items is defined }}",
    "{{ ('number' if n != 'string' else 'string') + '[]' }}{{ (none or []) | length }}{{ 'a' not in (missing or []) }}{{ 'x' if missing else 'y' }}",
    "{% for m in messages %}{% for f in messages[loop.index:] %}{{ f.role }}{% endfor %};{% endfor %}{{ messages[loop.index:] | length }}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.nextitem.role if not loop.last }}{{ loop.length - loop.revindex0 }}{% endfor %}",
    "{% for i in items %}{{ loop.cycle('x', 'y') }}{% endfor %}", "{% for i in items %}{{ loop.changed(i) }}{% endfor %}",
    "{{ messages[0].get('content', none) is not none }}{{ messages[0].get('q', none) is none }}{{ messages[0].get('q') is none }}{{ 'role' in messages[0] }}{{ 'q' not in messages[0] }}",
    "{% set ns = namespace(list=[]) %}{% for i in items %}{% set ns.list = ns.list + [i ~ '=' ~ (i | tojson)] %}{% endfor %}{{ ns.list | join(', ') }}{{ ns.list | length }}",
    "{{ items[:] | join }}{{ items[1:] | join }}{{ items[:-1] | join }}{{ items[::2] | join }}{{ text[::-1] }}{{ text[-3:] }}{{ items[5:] | length }}",
    "{{ items | tojson | safe }}", "{{ items | unique | list | length }}", "{{ items | sort | join }}",
    "{{ '7' | int + 1 }}", "{{ 'a\nb' | indent(2) }}", "{{ {'b': 1, 'a': 2} | dictsort | length }}", "{{ items | tojson(indent=2) }}", "{{ [1, {'a': [], 'b': {}, 'c': {'d': ['\u00e9\n']}}] | tojson(indent=4) }}{{ items | tojson(indent=0) }}{{ [] | tojson(indent=3) }}",
    "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", "{{ items | tojson(indent='-') }}", "{{ -3 | abs }}",
    "{{ 'a' is lower }}", "{{ text | upper is string }}{{ 'abc' is containing('b') }}", "{{ '%s-%d' | format('a', 3) }}",
    "{{ messages | map(attribute='content') | map('length') | join(',') }}", "{{ [1, 2] | sum }}",
    "{% set x = 'é' %}{{ x | length }}{{ (x * 1) if false else x }}{{ x ~ x }}", "{{ 'ab' * 2 }}", "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% filter upper %}a{{ text }}{% endfilter %}",
    "{% call(x) m() %}{% endcall %}", "{% block a %}x{% endblock %}", "{% raw %}{{ x }}{% endraw %}|", "{% raw -%}  {{ x }} {% a %}  {%- endraw %}|", "{% do items.append('d') %}{{ items | length }}", "{{ items.append('d') }}", "{{ items.index('b') }}", "{{ text.isdigit() }}",
]
