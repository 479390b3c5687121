"""Chat templates in the styles of well-known models, written anew: tools, documents, thinking."""

from __future__ import annotations

TOOL_STYLES = {
    "llama 3": """\
{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" + system }}
{%- if tools is not none %}
    {%- for t in tools %}{{- t | tojson(indent=4) + "\\n\\n" }}{%- endfor %}
{%- endif %}
{{- "<|eot_id|>" }}
{%- for m in messages %}
    {%- if not (m.role == 'ipython' or m.role == 'tool' or 'tool_calls' in m) %}
        {{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}
        {{- m.content | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in m %}
        {%- if not m.tool_calls | length == 1 %}
            {{- raise_exception("This model takes one call at once!") }}
        {%- endif %}
        {%- set call = m.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", ' }}
        {{- '"parameters": ' }}{{- call.arguments | tojson }}{{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if m.content is mapping or m.content is iterable %}{{- m.content | tojson }}
        {%- else %}{{- m.content }}{%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\
{%- endif %}""",
    "mistral v3": """\
{%- set turns = messages if messages[0].role != 'system' else messages[1:] %}
{%- set users = turns | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for m in turns %}
  {%- if m.role == "user" %}
    {%- if tools is not none and m == users[-1] %}
      {{- "[AVAILABLE_TOOLS] [" }}
      {%- for t in tools %}
        {%- set t = t.function %}{{- '{"type": "function", "function": {' }}
        {%- for key, val in t.items() if key != "return" %}
          {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}
          {%- else %}{{- '"' + key + '": ' + val | tojson }}{%- endif %}
          {%- if not loop.last %}{{- ", " }}{%- endif %}
        {%- endfor %}{{- "}}" }}{{- ", " if not loop.last else "]" }}
      {%- endfor %}{{- "[/AVAILABLE_TOOLS]" }}
    {%- endif %}
    {{- "[INST] " + m.content + "[/INST]" }}
  {%- elif m.tool_calls is defined and m.tool_calls is not none %}
    {{- "[TOOL_CALLS] [" }}
    {%- for call in m.tool_calls %}
      {{- (call.function | tojson)[:-1] }}
      {%- if not call.id is defined or call.id | length != 9 %}
        {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
      {%- endif %}
      {{- ', "id": "' + call.id + '"}' }}{{- ", " if not loop.last else "]" + eos_token }}
    {%- endfor %}
  {%- elif m.role == "assistant" %}{{- " " + m.content | trim + eos_token }}
  {%- elif m.role == "tool" %}
    {{- '[TOOL_RESULTS] {"content": ' + m.content | string + "}[/TOOL_RESULTS]" }}
  {%- else %}{{- raise_exception("Only user and assistant roles are supported!") }}{%- endif %}
{%- endfor %}""",
    "tekken": """\
{{- bos_token }}{%- if messages[0].role == "system" %}
{{- "[SYSTEM_PROMPT]" + messages[0].content + "[/SYSTEM_PROMPT]" }}{%- endif %}
{%- if tools %}{{- "[AVAILABLE_TOOLS]" + tools | tojson + "[/AVAILABLE_TOOLS]" }}{%- endif %}
{%- for m in messages if m.role != "system" %}
  {%- if m.role == "user" %}
    {%- if m.content is string %}{{- "[INST]" + m.content + "[/INST]" }}
    {%- else %}{{- "[INST]" }}{%- for p in m.content %}
      {%- if p.type == "text" %}{{- p.text }}{%- else %}{{- "[IMG]" }}{%- endif %}
    {%- endfor %}{{- "[/INST]" }}{%- endif %}
  {%- elif m.role == "assistant" %}
    {%- if m.content %}{{- m.content }}{%- endif %}
    {%- for c in m.tool_calls or [] %}
      {%- set args = c.function.arguments %}
      {{- "[TOOL_CALLS]" + c.function.name + "[ARGS]" }}
      {{- args if args is string else args | tojson }}
    {%- endfor %}{{- eos_token }}
  {%- else %}{{- "[TOOL_RESULTS]" ~ m.content ~ "[/TOOL_RESULTS]" }}{%- endif %}
{%- endfor %}""",
    "phi 4 mini": """\
{% for m in messages %}{% if m['role'] == 'system' and tools %}\
{{ '<|system|>' + m['content'] + '<|tool|>' + tools | tojson + '<|/tool|><|end|>' }}\
{% else %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}""",
    "qwen 2.5": """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {{- messages[0]['content'] if messages[0]['role'] == 'system' else 'You help.' }}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if (m.role == "user") or (m.role == "system" and not (loop.first and tools)) or
        (m.role == "assistant" and not m.tool_calls) %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
    {%- elif m.role == "assistant" %}
        {{- '<|im_start|>' + m.role }}
        {%- if m.content %}{{- '\\n' + m.content }}{%- endif %}
        {%- for call in m.tool_calls %}
            {%- if call.function is defined %}{%- set call = call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif m.role == "tool" %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != "tool" %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- m.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- '<|im_end|>\\n' }}\
{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}""",
    "smollm 3": """\
{%- set mode = "/think" if enable_thinking | default(true) else "/no_think" -%}
{%- if messages[0].role == "system" and "/no_think" in messages[0].content -%}
  {%- set mode = "/no_think" -%}
{%- endif -%}
{{- "<|im_start|>system\\nToday: " ~ strftime_now("%d %B %Y") ~ "\\nMode: " ~ mode ~ "\\n" -}}
{%- if xml_tools or python_tools or tools -%}
  {%- for t in (xml_tools or tools or []) -%}{{- t | string -}}{%- endfor -%}
{%- endif -%}
{{- "<|im_end|>\\n" -}}
{%- for m in messages -%}
  {%- set content = m.content if m.content is string else "" -%}
  {%- if m.role == "assistant" -%}
    {% generation %}{{- "<|im_start|>assistant\\n" ~ content.lstrip("\\n") ~ "<|im_end|>\\n" -}}\
{% endgeneration %}
  {%- elif m.role in ["user", "tool"] -%}
    {{- "<|im_start|>user\\n" ~ content ~ "<|im_end|>\\n" -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|im_start|>assistant\\n" ~ ("<think>\\n\\n</think>\\n" if mode == "/no_think" else "") -}}
{%- endif -%}""",
    "command r": """\
{{ bos_token }}{% if documents %}{{ '<|SYSTEM|># Documents\n' }}{% for d in documents %}\
{{ 'Document: ' ~ loop.index0 }}
{% for key, value in d.items() %}{{ key }}: {{ value }}
{% endfor %}{% endfor %}{% endif %}{% if tools %}{% for t in tools %}
{{ t.function.name }}({{ t.function.parameters.properties | tojson(sort_keys=true) }})
{% endfor %}{% endif %}{% for m in messages %}\
{{ '<|' ~ m.role | upper ~ '|>' ~ m.content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|CHATBOT|>' }}{% endif %}""",
    "granite": """\
{%- set text = messages[0].content if messages[0].role == 'system' else
    "Today's Date: " + strftime_now('%B %d, %Y') + '.' -%}
{%- if tools and documents -%}{%- set text = text + ' Tools and documents.' -%}
{%- elif tools -%}{%- set text = text + ' Tools.' -%}
{%- elif documents -%}{%- set text = text + ' Documents.' -%}{%- endif -%}
{{- '<|start_of_role|>system<|end_of_role|>' + text + '<|end_of_text|>\n' -}}
{%- if tools -%}{{- '<|start_of_role|>tools<|end_of_role|>' + tools | tojson(indent=4) + '\n' -}}
{%- endif -%}
{%- for d in documents or [] -%}
  {{- '<|start_of_role|>document {"id": "' ~ d.doc_id ~ '"}<|end_of_role|>' ~ d.text ~ '\n' -}}
{%- endfor -%}
{%- for m in messages[(1 if messages[0].role == 'system' else 0):] -%}
  {{- '<|start_of_role|>' ~ m.role ~ '<|end_of_role|>' ~ m.content ~ '<|end_of_text|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|start_of_role|>assistant' -}}
  {%- if controls -%}{{- ' ' + controls | tojson -}}{%- endif -%}
  {{- '<|end_of_role|>' -}}
{%- endif -%}""",
    "glm 4": """\
[gMASK]<sop>{%- if tools -%}<|system|>
# Tools{% for tool in tools %}{% set f = tool.function if tool.function else tool %}

## {{ f.name }}

{{ f | tojson(indent=4, ensure_ascii=False) }}{%- endfor %}{%- endif -%}
{%- for m in messages -%}
{%- if m.role == 'system' %}<|system|>
{{ m.content }}{% elif m.role == 'user' %}<|user|>
{{ m.content }}{% elif m.role == 'assistant' %}<|assistant|>
{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function.name }}
{{ c.function.arguments }}{% endfor %}{% else %}{{ m.content }}{% endif %}
{%- elif m.role == 'tool' %}<|observation|>
{{ m.content }}{% endif %}{%- endfor -%}
{% if add_generation_prompt %}<|assistant|>
{{ '' if enable_thinking is not defined or enable_thinking else '<think></think>' }}{% endif %}""",
    "nemotron": """\
{{'<extra_id_0>System'}}{% for m in messages %}{% if m.role == 'system' %}
{{ m.content.strip() }}{% endif %}{% endfor %}
{% for tool in tools or [] %}{{ '\n<tool> ' + (tool | tojson) + ' </tool>' }}{% endfor %}
{% for c in contexts or [] %}{{ '<context>' ~ c ~ '</context>' }}{% endfor %}
{% for m in messages if m['role'] != 'system' %}
{{ '<extra_id_1>' ~ ('Assistant' if m.role == 'assistant' else m.role | title) }}
{{ m['content'] | default('', true) }}
{% endfor %}{% if add_generation_prompt %}{{'<extra_id_1>Assistant\n'}}{% endif %}""",
    "harmony": """\
{%- macro kind(spec) -%}
  {%- if spec.type == 'string' -%}{{ spec.enum | map('tojson') | join(' | ') if spec.enum else \
'string' }}
  {%- elif spec.type == 'array' -%}{{ kind(spec['items']) ~ '[]' }}
  {%- else -%}{{ spec.type | default('any') }}{%- endif -%}
{%- endmacro -%}
{{- '<|start|>system<|message|>Current date: ' ~ strftime_now('%Y-%m-%d') -}}
{{- '\nReasoning: ' ~ reasoning_effort | default('medium') ~ '<|end|>' -}}
{%- if tools -%}
  {{- '<|start|>developer<|message|>namespace functions {\n' -}}
  {%- for tool in tools -%}{%- set f = tool.function -%}
    {{- '// ' ~ f.description ~ '\ntype ' ~ f.name ~ ' = (_: {\n' -}}
    {%- for name, spec in f.parameters.properties.items() -%}
      {{- name -}}{{- '?' if name not in f.parameters.required | default([]) -}}
      {{- ': ' ~ kind(spec) ~ ',\n' -}}
    {%- endfor -%}{{- '}) => any;\n' -}}
  {%- endfor -%}{{- '}<|end|>' -}}
{%- endif -%}
{%- set last = namespace(tool=none) -%}
{%- for m in messages -%}
  {%- if m.role == 'assistant' -%}
    {%- if 'thinking' in m -%}{{- '<|channel|>analysis<|message|>' ~ m.thinking ~ '<|end|>' -}}
    {%- endif -%}
    {%- if m.tool_calls -%}
      {%- set call = m.tool_calls[0].function -%}{%- set last.tool = call.name -%}
      {{- '<|start|>assistant to=functions.' ~ call.name ~ '<|message|>' -}}
      {{- call.arguments if call.arguments is string else call.arguments | tojson -}}
      {{- '<|call|>' -}}
    {%- else -%}{{- '<|start|>assistant<|channel|>final<|message|>' ~ m.content ~ '<|end|>' -}}
    {%- endif -%}
  {%- elif m.role == 'tool' -%}
    {%- if last.tool is none -%}{{- raise_exception('A result without a call before it') -}}
    {%- endif -%}
    {{- '<|start|>functions.' ~ last.tool ~ '<|message|>' ~ m.content | tojson ~ '<|end|>' -}}
  {%- else -%}{{- '<|start|>' ~ m.role ~ '<|message|>' ~ m.content ~ '<|end|>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%}""",
    "hermes": """\
{{ bos_token }}{% if tools %}<|im_start|>system
<tools> {% for t in tools %}{{ t.function | tojson(separators=(',', ':')) }} {% endfor %}</tools>
<|im_end|>
{% endif %}{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>tool
<tool_response>
{{ {'name': m.name, 'content': m.content} | tojson }}
</tool_response><|im_end|>
{% elif m.tool_calls %}<|im_start|>assistant
{% for c in m.tool_calls %}<tool_call>
{{ c.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}""",
    "jamba": """\
{%- set knows = namespace(system=false) -%}
{%- for m in messages if m.role == 'system' -%}{%- set knows.system = true -%}{%- endfor -%}
{{- bos_token -}}
{%- if tools or documents or knobs -%}
  {{- '<|bom|><|system|> ' ~ ('' if knows.system else 'none ') -}}
  {{- {'tools': tools, 'documents': documents, 'knobs': knobs | default(none)} | tojson -}}
  {{- '<|eom|>' -}}
{%- endif -%}
{%- for m in messages -%}
  {{- '<|bom|><|' ~ m.role ~ '|> ' -}}
  {%- if m.content -%}{{- m.content -}}{%- endif -%}
  {%- if m.tool_calls -%}{{- m.tool_calls | map(attribute='function') | list | tojson -}}
  {%- endif -%}
  {{- '<|eom|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|bom|><|assistant|>' -}}{%- endif -%}""",
}
