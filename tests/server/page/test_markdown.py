"""Answers as DOM nodes: what Markdown becomes, and that a hostile one becomes text."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from support.page_actions import ask_and_wait, last
from support.scripted_server import ScriptedServer

RENDER = """async (text) => {
    const { MarkdownView } = await import("/page/markdown.js");
    const element = document.createElement("div");
    new MarkdownView(element).update(text);
    for (const button of element.querySelectorAll("button")) button.remove();
    return element.innerHTML;
}"""


@pytest.fixture(scope="module")
def shell(browser: Any, served: ScriptedServer) -> Any:
    """A page that is only asked to render."""
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(served.url)
    yield opened
    context.close()


def test_every_kind_of_block(shell: Any) -> None:
    cases = {
        "# One #": "<h3>One</h3>",
        "a  \nb\nc": "<p>a  <br>b\nc</p>",
        "---": "<hr>",
        "> a\n> > b": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>",
        "- a\n- b": "<ul><li>a</li><li>b</li></ul>",
        "- a\n\n- b": "<ul><li>a</li><li>b</li></ul>",
        "- a\n\n  b\n- c": "<ul><li><p>a</p><p>b</p></li><li>c</li></ul>",
        "- [x] a\nend": (
            '<ul><li class="task"><input type="checkbox" disabled="" checked="" aria-label="done">'
            "a\nend</li></ul>"
        ),
        "3. a\n   - b\n4. c": '<ol start="3"><li>a<ul><li>b</li></ul></li><li>c</li></ol>',
        "1. a\n\ntext": "<ol><li>a</li></ol><p>text</p>",
        "text\n- a": "<p>text</p><ul><li>a</li></ul>",
    }
    assert {text: shell.evaluate(RENDER, text) for text in cases} == cases


def test_every_kind_of_inline(shell: Any) -> None:
    cases = {
        "**a *b* c**": "<strong>a <em>b</em> c</strong>",
        "*a **b** c*": "<em>a <strong>b</strong> c</em>",
        "__a__ _b_ ~~c~~": "<strong>a</strong> <em>b</em> <del>c</del>",
        "snake_case_name 2 * 3 * 4": "snake_case_name 2 * 3 * 4",
        "`a<b` ``c`d``": "<code>a&lt;b</code> <code>c`d</code>",
        r"\*a\* \`b": "*a* `b",
        "**open `open [open": "**open `open [open",
        "1 < 2 & 3 > 2": "1 &lt; 2 &amp; 3 &gt; 2",
    }
    found = {text: shell.evaluate(RENDER, text) for text in cases}
    assert found == {text: f"<p>{html}</p>" for text, html in cases.items()}


def test_table_has_alignments_and_bars_in_cells(shell: Any) -> None:
    html = shell.evaluate(RENDER, "| a | b |\n|:--|--:|\n| 1 \\| 2 | **x** |\n| only |\n\nend")
    assert '<th class="left">a</th><th class="right">b</th>' in html
    assert '<td class="left">1 | 2</td><td class="right"><strong>x</strong></td>' in html
    assert '<td class="left">only</td><td class="right"></td>' in html
    assert html.endswith("<p>end</p>")


def test_code_block_is_kept_as_it_is(shell: Any) -> None:
    html = shell.evaluate(RENDER, "```python\nif a < b:\n    **x**\n\n- y\n```\nend")
    assert "<code>if a &lt; b:\n    **x**\n\n- y</code>" in html
    assert "<span>python</span>" in html
    assert html.endswith("<p>end</p>")
    unclosed = shell.evaluate(RENDER, "~~~\ncode")
    assert "<code>code</code>" in unclosed


def test_links_lead_only_to_the_web(shell: Any) -> None:
    opened = 'target="_blank" rel="noopener noreferrer"'
    cases = {
        "[a](https://x.org/b_(c))": f'<a href="https://x.org/b_(c)" {opened}>a</a>',
        "see https://x.org/a.": f'see <a href="https://x.org/a" {opened}>https://x.org/a</a>.',
        "<mailto:a@x.org>": f'<a href="mailto:a@x.org" {opened}>mailto:a@x.org</a>',
        "![cat](https://x.org/c.png)": f'<a href="https://x.org/c.png" {opened}>cat</a>',
        "[a](javascript:alert(1))": "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&#58;alert)": "[a](JaVaScRiPt&amp;#58;alert)",
        "[a](data:text/html,x)": "[a](data:text/html,x)",
        "[a](vbscript:x)": "[a](vbscript:x)",
        "[a](/v1/models)": "[a](/v1/models)",
        "[a](//evil.org)": "[a](//evil.org)",
    }
    found = {text: shell.evaluate(RENDER, text) for text in cases}
    assert found == {text: f"<p>{html}</p>" for text, html in cases.items()}


HOSTILE = """\
<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 1"> <svg onload="window.hacked = 1">
[x](javascript:window.hacked=1) <a href="javascript:window.hacked=1">y</a>
![x](https://evil.invalid/pixel.png" onerror="window.hacked=1)
<iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>

| <script>window.hacked = 1</script> | b |
|---|---|
| <img src=x onerror=window.hacked=1> | `<script>window.hacked = 1</script>` |

```"><script>window.hacked = 1</script>
</code></pre><script>window.hacked = 1</script>
```
"""


def test_hostile_answer_runs_nothing_and_loads_nothing(page: Any, server: ScriptedServer) -> None:
    server.say(
        HOSTILE,
        {"reasoning_content": "<script>window.hacked = 1</script>"},
        {"tool_calls": [{"index": 0, "id": "<b>", "function": {"name": "<img src=x>"}}]},
    )
    ask_and_wait(page, "<img src=x onerror='window.hacked = 1'>")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main :is(script, img, iframe, svg, [onerror], [onload])").count() == 0
    links = page.locator("#messages a").evaluate_all("all => all.map((one) => one.protocol)")
    assert set(links) <= {"https:"}
    assert "<script>window.hacked = 1</script>" in last(page).inner_text()


def test_policy_refuses_markup_and_foreign_code(page: Any) -> None:
    refused = """async () => {
        await new Promise(setTimeout);  // what the driver evaluates may evaluate
        const tries = {
            evaluate: () => new Function("return 1")(),
            markup: () => { document.body.innerHTML += "<b>x</b>"; },
            script: () => { document.createElement("script").textContent = "window.hacked = 1"; },
            handler: () => document.body.setAttribute("onclick", "window.hacked = 1"),
        };
        const script = document.createElement("script");
        script.append("window.hacked = 1");
        document.body.append(script);
        const refused = Object.entries(tries).filter(([, work]) => {
            try { work(); } catch { return true; }
        });
        return [refused.map(([name]) => name), window.hacked ?? null];
    }"""
    assert page.evaluate(refused) == [["evaluate", "markup", "script", "handler"], None]
    fetched = page.evaluate("fetch('http://127.0.0.2:1/').then(() => 'sent', (e) => e.name)")
    assert fetched == "TypeError"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("| a " * 60 + "|\n" + "|---" * 60 + "|\n" + "| 1 " * 30_000, id="row"),
        pytest.param("a | b\n-|-\n" + "1 | 2\n" * 10_000, id="table"),
        pytest.param("> " * 20_000 + "x", id="quotes"),
        pytest.param("".join(" " * (2 * n) + "- x\n" for n in range(300)), id="lists"),
        pytest.param("**a" * 10_000, id="strong"),
        pytest.param("*a_" * 10_000, id="emphasis"),
        pytest.param("`" + "a`` " * 10_000, id="ticks"),
        pytest.param("[" * 30_000, id="brackets"),
        pytest.param("[a](" * 8_000, id="links"),
        pytest.param("https://" + "." * 30_000, id="dots"),
        pytest.param("# " + " " * 30_000 + "#" * 30_000 + "x", id="heading"),
        pytest.param("~" * 30_000 + "`", id="fence"),
        pytest.param("|" * 20_000 + "\n" + "|-" * 20_000 + "x", id="ruler"),
        pytest.param("<think>" * 5_000, id="think"),
        pytest.param("\n".join("`" * n for n in range(1, 200)), id="fences"),
    ],
)  # fmt: skip
def test_no_text_takes_long(shell: Any, text: str) -> None:
    began = time.monotonic()
    shell.evaluate(RENDER, text)
    assert time.monotonic() - began < 5


FOUND = """async (texts) => {
    const { MarkdownView } = await import("/page/markdown.js");
    const [elements, attributes, protocols] = [new Set(), new Set(), new Set()];
    for (const text of texts) {
        const element = document.createElement("div");
        new MarkdownView(element).update(text);
        for (const one of element.querySelectorAll("*")) {
            elements.add(one.localName);
            for (const name of one.getAttributeNames()) attributes.add(name);
            if (one.localName === "a") protocols.add(one.protocol);
        }
    }
    return [[...elements], [...attributes], [...protocols]];
}"""
ELEMENTS = """a blockquote br button code del div em h3 h4 h5 h6 hr input li ol p pre span strong
    table tbody td th thead tr ul"""
ATTRIBUTES = "aria-label checked class disabled href rel role start tabindex target type"
PIECES = (
    *("<", ">", "&", '"', "'", "`", "```", "~~~", "*", "**", "_", "[", "]", "(", ")", "!", "|"),
    *("\\", "\n", "\n\n", "  ", "    ", "- ", "1. ", "> ", "# ", "|-|-|\n", "---", "[x] ", "~~"),
    *("https://x.org", "javascript:alert(1)", "mailto:a@x.org", "data:text/html,", "\x00"),
    *("<script>", "<img src=x onerror=alert(1)>", "<a href=", "&#x6A;", "word", "\u202e", "\t"),
)


def test_random_texts_become_only_what_markdown_has(shell: Any) -> None:
    chance = random.Random(7)
    texts = ["".join(chance.choices(PIECES, k=chance.randrange(60))) for _ in range(3000)]
    elements, attributes, protocols = map(set, shell.evaluate(FOUND, texts))
    assert elements <= set(ELEMENTS.split())
    assert attributes <= set(ATTRIBUTES.split())
    assert protocols <= {"https:", "mailto:"}


def test_growing_text_keeps_the_blocks_that_stay(shell: Any) -> None:
    kept = shell.evaluate("""async () => {
        const { MarkdownView } = await import("/page/markdown.js");
        const element = document.createElement("div");
        const view = new MarkdownView(element);
        view.update("# Head\\n\\none");
        const [head, first] = element.childNodes;
        view.update("# Head\\n\\none and more\\n\\n- two");
        const now = element.childNodes;
        return [now[0] === head, now[1] === first, element.textContent];
    }""")
    assert kept == [True, False, "Headone and moretwo"]


def test_copy_button_copies_the_code(context: Any, page: Any, server: ScriptedServer) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    server.say("Run:\n\n```sh\necho a\necho b\n```\n")
    ask_and_wait(page, "Code")
    page.get_by_role("button", name="Copy the code").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "echo a\necho b"


def test_copy_button_works_over_plain_http(context: Any, server: ScriptedServer) -> None:
    context.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page = context.new_page()
    page.goto(server.url)
    server.say("```\nmakes no secure context\n```")
    ask_and_wait(page, "Code")
    page.get_by_role("button", name="Copy the code").click()
    page.get_by_text("Copied").wait_for()
    box = page.get_by_label("Message", exact=True)
    box.focus()
    page.keyboard.press("Control+V")
    assert box.input_value() == "makes no secure context"
