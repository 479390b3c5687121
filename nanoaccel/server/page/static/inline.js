/** Markdown inside a line, as DOM nodes. HTML stays text; images become links. */

import { h } from "./dom.js";

// Every search is bounded, so that a hostile text costs no more than its length.
const DEPTH = 8;
const CODE_LENGTH = 5000;
const LABEL = /\[(?<label>(?:[^[\]\\]|\\.){0,500})\]/.source;
const TARGET = /<?(?<target>[^\s()<>]{1,2000}(?:\([^\s()]{0,200}\)[^\s()<>]{0,200})?)>?/.source;
const TITLE = /(?:\s+"[^"\n]{0,500}")?/.source;
const LINK = new RegExp(`!?${LABEL}\\(\\s*${TARGET}${TITLE}\\s*\\)`, "y");
const BARE =
  /<?(?<target>(?:https?:\/\/|mailto:)[^\s<>]{1,2000}?)(?:>|(?=[.,;:!?)"'*_]*(?:[\s<]|$)))/y;
const STRONG = /(?<mark>\*\*|__)(?=\S)(?<text>[^]{0,2000}?\S)\k<mark>/y;
const EMPHASIS =
  /(?<mark>[*_])(?=[^\s*_])(?<text>[^]{0,2000}?[^\s*_])\k<mark>(?![*_])(?!(?<=_)\w)/y;
const STRUCK = /~~(?=\S)(?<text>[^]{0,2000}?\S)~~/y;
const SPECIAL = /[\\`![*_~<\n]|https?:|mailto:/g;

/**
 * @param {string} text
 * @returns {Node[]}
 */
export function inline(text, depth = 0) {
  if (depth >= DEPTH) return [document.createTextNode(text)];
  const nodes = [];
  let plain = "";
  const put = (node) => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(node);
  };
  for (let at = 0; at < text.length;) {
    SPECIAL.lastIndex = at;
    const next = SPECIAL.exec(text)?.index ?? text.length;
    plain += text.slice(at, next);
    if (next === text.length) break;
    const found = span(text, next, depth);
    if (found?.node) put(found.node);
    else plain += found?.plain ?? text[next];
    at = next + (found?.length ?? 1);
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

/** What begins at a place: a node, or plain text, and how many characters it takes; or null. */
function span(text, at, depth) {
  const within = (name, match) => ({
    node: h(name, {}, ...inline(match.groups.text, depth + 1)),
    length: match[0].length,
  });
  switch (text[at]) {
    case "\\":
      if (/[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) return { plain: text[at + 1], length: 2 };
      return null;
    case "\n":
      return / {2}$|\\$/.test(text.slice(Math.max(0, at - 2), at))
        ? { node: h("br"), length: 1 }
        : null;
    case "`":
      return codeSpan(text, at);
    case "!":
    case "[": {
      const link = match(LINK, text, at);
      return link && linked(link, depth);
    }
    case "~": {
      const struck = match(STRUCK, text, at);
      return struck && within("del", struck);
    }
    case "*":
    case "_": {
      if (text[at] === "_" && /\w/.test(text[at - 1] ?? "")) return null;
      const strong = match(STRONG, text, at);
      if (strong) return within("strong", strong);
      const emphasis = match(EMPHASIS, text, at);
      return emphasis && within("em", emphasis);
    }
    default: {
      const bare = match(BARE, text, at);
      const target = bare?.groups.target;
      if (!bare || !allowed(target)) return null;
      return { node: anchor(target, [target]), length: bare[0].length };
    }
  }
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** A link whose target is not allowed stays as it was written. */
function linked(found, depth) {
  const { label, target } = found.groups;
  if (!allowed(target)) return { plain: found[0], length: found[0].length };
  const children = label ? inline(label, Math.max(depth + 1, DEPTH - 2)) : [target];
  return { node: anchor(target, children), length: found[0].length };
}

function allowed(target) {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(target).protocol);
  } catch {
    return false; // relative: there is nothing here that an answer could point to
  }
}

function anchor(target, children) {
  return h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** As many backticks as it began with end it; when they do not come, they are plain. */
function codeSpan(text, at) {
  const run = /`+/y;
  const ticks = match(run, text, at)[0];
  const runs = /`+/g;
  runs.lastIndex = at + ticks.length;
  const near = text.slice(0, at + CODE_LENGTH);
  for (let end = runs.exec(near); end; end = runs.exec(near)) {
    if (end[0] !== ticks) continue;
    const code = text.slice(at + ticks.length, end.index).replace(/^ (.*[^ ].*) $/s, "$1");
    return { node: h("code", {}, code), length: end.index + ticks.length - at };
  }
  return { plain: ticks, length: ticks.length };
}
