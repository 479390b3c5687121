"""Chat templates in the styles of well-known models, written anew: plain conversations."""

from __future__ import annotations

PLAIN_STYLES = {
    "chatml": """\
{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "llama 2": """\
{%- if messages[0].role == 'system' -%}
  {%- set head = '<<SYS>>\n' ~ messages[0].content ~ '\n<</SYS>>\n\n' -%}
  {%- set rest = messages[1:] -%}
{%- else -%}{%- set head = '' -%}{%- set rest = messages -%}{%- endif -%}
{%- for m in rest -%}
  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('Roles must alternate user/assistant/user/assistant/...') -}}
  {%- endif -%}
  {%- set words = head ~ m.content if loop.first else m.content -%}
  {%- if m.role == 'user' -%}
    {{- bos_token ~ '[INST] ' ~ words.strip() ~ ' [/INST]' -}}
  {%- elif m.role == 'assistant' -%}
    {{- ' ' ~ words.strip() ~ ' ' ~ eos_token -}}
  {%- endif -%}
{%- endfor -%}""",
    "zephyr": """\
{% for m in messages %}
{% if m.role in ('user', 'system', 'assistant') %}
{{ '<|' + m.role + '|>\n' + m.content + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "gemma": """\
{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not known') }}\
{% endif %}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Turns must take turns') }}{% endif %}\
{% set who = 'model' if m.role == 'assistant' else m.role %}\
{{ '<start_of_turn>' + who + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}""",
    "gemma 3": """\
{{- bos_token -}}
{%- set first = '' -%}{%- set turns = messages -%}
{%- if messages[0]['role'] == 'system' -%}
  {%- set turns = messages[1:] -%}
  {%- if messages[0]['content'] is string -%}{%- set first = messages[0]['content'] + '\n\n' -%}
  {%- else -%}{%- set first = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}
{%- endif -%}
{%- for m in turns -%}
  {{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' -}}
  {{- first if loop.first else '' -}}
  {%- if m['content'] is string -%}{{ m['content'] | trim }}
  {%- elif m['content'] is iterable -%}
    {%- for part in m['content'] -%}
      {%- if part['type'] == 'image' -%}{{ '<start_of_image>' }}
      {%- elif part['type'] == 'text' -%}{{ part['text'] | trim }}{%- endif -%}
    {%- endfor -%}
  {%- else -%}{{ raise_exception('Invalid content type') }}{%- endif -%}
  {{- '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}""",
    "phi 3": """\
{% for m in messages %}{% if m.content and m.role in ['system', 'user', 'assistant'] %}\
{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "vicuna": """\
{% if messages[0].role == 'system' %}{% set turns = messages[1:] %}{{ messages[0].content }}\
{% else %}{% set turns = messages %}A chat between a user and an assistant.{% endif %}
{% for m in turns %}{% if m.role == 'user' %} USER: {{ m.content }}\
{% elif m.role == 'assistant' %} ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}\
{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}""",
    "alpaca": """\
{{ (messages | selectattr('role', 'equalto', 'system') | list | first).content | default('Help.') }}

{% for m in messages if m.role != 'system' %}
### {{ {'user': 'Instruction', 'assistant': 'Response'}[m.role] }}:
{{ m.content | trim }}{{ eos_token if m.role == 'assistant' }}

{% endfor %}
{% if add_generation_prompt %}### Response:
{% endif %}""",
    "openchat": """\
{{ bos_token }}{% for m in messages %}\
{{ 'GPT4 Correct ' + m['role'].title() + ': ' + m['content'] + '<|end_of_turn|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}""",
    "falcon": """\
{% for m in messages %}{% if not loop.first %}{{ '\n\n' }}{% endif %}\
{{ m.role | capitalize + ': ' + m.content.replace('\r\n', '\n').replace('\n\n', '\n') | trim }}\
{% endfor %}{% if add_generation_prompt %}{{ '\n\nAssistant:' }}{% endif %}""",
    "stablelm": """\
{% for m in messages %}{{ '<|' ~ m['role'] ~ '|>' }}
{{ m['content'] | trim }}<|endoftext|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}""",
    "yi": """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% endif %}\
{% if system is defined %}{{ '<|im_start|>system\n' + system + '<|im_end|>\n' }}{% endif %}\
{% for m in messages if m.role == 'user' or m.role == 'assistant' %}\
{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}\
{{ '<|im_start|>assistant\n' if add_generation_prompt }}""",
    "internlm 2": """\
{{ bos_token }}{% for m in messages %}\
{{'<|im_start|>' + m['role'] + ('name=' + m.name if m.name is defined else '') + '\n' }}\
{{ m['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "exaone": """\
{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ '[|system|][|endofturn|]\n' }}\
{% endif %}{{ '[|' + m['role'] + '|]' + m['content'] }}\
{% if m.role == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}""",
    "olmo": """\
{{ eos_token }}{% for m in messages %}
{% if m['role'] == 'system' %}
<|system|>
{{ m['content'] }}
{% elif m['role'] == 'user' %}
<|user|>
{{ m['content'] }}
{% elif m['role'] == 'assistant' %}
<|assistant|>
{% if not loop.last %}{{ m['content'] ~ eos_token }}
{% else %}{{ m['content'] ~ eos_token }}{% endif %}
{% endif %}{% if loop.last and add_generation_prompt %}
<|assistant|>
{% endif %}{% endfor %}""",
    "deepseek r1": """\
{%- if not add_generation_prompt is defined -%}{%- set add_generation_prompt = false -%}
{%- endif -%}
{%- set ns = namespace(system='', after_tool=false) -%}
{%- for m in messages if m.role == 'system' -%}{%- set ns.system = m.content -%}{%- endfor -%}
{{- bos_token ~ ns.system -}}
{%- for m in messages -%}
  {%- if m.role == 'user' -%}{{- '<|User|>' ~ m.content -}}{%- endif -%}
  {%- if m.role == 'assistant' and m.content is not none -%}
    {%- set content = m.content -%}
    {%- if '</think>' in content -%}{%- set content = content.split('</think>')[-1] -%}
    {%- endif -%}
    {{- '<|Assistant|>' ~ content ~ '<|end|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|Assistant|><think>\n' -}}{%- endif -%}""",
    "falcon e, with marks for training": """\
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{% set who = 'Bot' %}\
{{ who }}: {{ m.content }}{% if loop.last is defined %}.{% endif %}{{ eos_token }}\
{% endgeneration %}{{ who is defined }}{% else %}{{ m.role }}: {{ m.content }}{% endif %}
{% endfor %}{% if add_generation_prompt %}Bot:{% endif %}""",
    "stops early": """\
{%- for m in messages -%}
  {%- if m.role == 'system' -%}{%- continue -%}{%- endif -%}
  {%- if loop.index > 3 -%}{%- break -%}{%- endif -%}
  {{- loop.index ~ ':' ~ m.content -}}
{%- endfor -%}
{{- messages | map(attribute='role') | join(',') -}}""",
}
