/**
 * Markdown as DOM nodes: headings, lists, tables, quotes, code. HTML in it stays text, and nothing
 * is ever parsed as markup.
 */

import { copyButton, h } from "./dom.js";
import { inline } from "./inline.js";
import { listItems, listLength } from "./lists.js";
import { columns, isTable, tableLength, tableRows } from "./tables.js";

const DEPTH = 10;
const FENCE = /^ {0,3}(`{3,}|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^ *(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;

/** Shows a growing text: only the blocks that changed are made again. */
export class MarkdownView {
  #sources = [];

  /** @param {HTMLElement} element Its children are replaced. */
  constructor(element) {
    this.element = element;
  }

  /** @param {string} text All of it. */
  update(text) {
    const found = blocks(text.split(/\r?\n/));
    const sources = found.map(({ kind, lines }) => `${kind}\n${lines.join("\n")}`);
    let same = 0;
    while (same < sources.length && sources[same] === this.#sources[same]) same += 1;
    while (this.element.childNodes.length > same) this.element.lastChild.remove();
    this.element.append(...found.slice(same).map((block) => rendered(block, 0)));
    this.#sources = sources;
  }
}

/**
 * Cuts lines into blocks.
 *
 * @param {string[]} lines
 * @returns {{kind: string, lines: string[]}[]}
 */
function blocks(lines) {
  const found = [];
  for (let at = 0; at < lines.length;) {
    const kind = kindAt(lines, at);
    const length = lengthOf(kind, lines, at);
    if (kind !== "blank") found.push({ kind, lines: lines.slice(at, at + length) });
    at += length;
  }
  return found;
}

function kindAt(lines, at) {
  const line = lines[at];
  if (!line.trim()) return "blank";
  if (FENCE.test(line)) return "code";
  if (HEADING.test(line)) return "heading";
  if (RULE.test(line)) return "rule";
  if (QUOTE.test(line)) return "quote";
  if (ITEM.test(line)) return "list";
  return isTable(lines, at) ? "table" : "paragraph";
}

function lengthOf(kind, lines, at) {
  const upTo = (ends) => {
    let end = at + 1;
    while (end < lines.length && !ends(end)) end += 1;
    return end - at;
  };
  switch (kind) {
    case "code": {
      const fence = FENCE.exec(lines[at])[1];
      const closing = (end) =>
        lines[end].trim().startsWith(fence) && /^\s*[`~]+\s*$/.test(lines[end]);
      return Math.min(upTo(closing) + 1, lines.length - at);
    }
    case "quote":
      return upTo((end) => !QUOTE.test(lines[end]));
    case "list":
      return listLength(lines, at, (end) =>
        ["code", "heading", "rule"].includes(kindAt(lines, end)),
      );
    case "table":
      return tableLength(lines, at);
    case "paragraph":
      return upTo((end) => kindAt(lines, end) !== "paragraph");
    default:
      return 1;
  }
}

function renderedLines(lines, depth) {
  if (depth >= DEPTH) return [h("p", {}, lines.join("\n"))];
  return blocks(lines).map((block) => rendered(block, depth));
}

function rendered({ kind, lines }, depth) {
  switch (kind) {
    case "code":
      return code(lines);
    case "heading": {
      const [opening, marks] = HEADING.exec(lines[0]);
      const text = lines[0]
        .slice(opening.length)
        .trim()
        .replace(/(?:^|[ \t])#+$/, "");
      // The page's own heading is the first one: an answer's begin below it.
      return h(`h${Math.min(6, marks.length + 2)}`, {}, ...inline(text));
    }
    case "rule":
      return h("hr");
    case "quote":
      return h(
        "blockquote",
        {},
        ...renderedLines(
          lines.map((line) => line.replace(QUOTE, "")),
          depth + 1,
        ),
      );
    case "list":
      return list(lines, depth);
    case "table":
      return table(lines);
    default:
      return h("p", {}, ...inline(lines.map((line) => line.trimStart()).join("\n")));
  }
}

function code(lines) {
  const [, fence, information] = FENCE.exec(lines[0]);
  const closed = lines.length > 1 && lines.at(-1).trim().startsWith(fence);
  const text = lines.slice(1, closed ? -1 : undefined).join("\n");
  const language = information.trim().split(/\s/)[0];
  const bar = h(
    "div",
    { class: "bar" },
    h("span", {}, language),
    copyButton(() => text, "the code"),
  );
  const label = language ? `${language} code` : "code";
  const block = h("pre", { tabindex: 0, "aria-label": label }, h("code", {}, text));
  return h("div", { class: "code" }, bar, block);
}

function list(lines, depth) {
  const { ordered, start, items } = listItems(lines);
  const children = items.map((item) => {
    const task = /^\[([ xX])\]\s+/.exec(item[0]);
    if (task) item[0] = item[0].slice(task[0].length);
    const nodes = renderedLines(item, depth + 1);
    const tight = !loose(item);
    const content = nodes.flatMap((node) =>
      tight && node.tagName === "P" ? [...node.childNodes] : [node],
    );
    const done = task && task[1] !== " ";
    return h("li", task ? { class: "task" } : {}, task && checkbox(done), ...content);
  });
  return ordered
    ? h("ol", { start: start === 1 ? null : start }, ...children)
    : h("ul", {}, ...children);
}

/** Paragraphs with blank lines between keep their distance. */
function loose(item) {
  const blank = item.findIndex((line, at) => at > 0 && !line.trim());
  return blank >= 0 && item.slice(blank).some((line) => line.trim());
}

function checkbox(done) {
  return h("input", {
    type: "checkbox",
    disabled: true,
    checked: done,
    "aria-label": done ? "done" : "open",
  });
}

function table(lines) {
  const { head, body } = tableRows(lines);
  const alignments = columns(lines[1]);
  const row = (name, cells) =>
    h(
      "tr",
      {},
      ...alignments.map((align, at) => h(name, { class: align }, ...inline(cells[at] ?? ""))),
    );
  return h(
    "div",
    { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table" },
    h(
      "table",
      {},
      h("thead", {}, row("th", head)),
      h("tbody", {}, ...body.map((cells) => row("td", cells))),
    ),
  );
}
