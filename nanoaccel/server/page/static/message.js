/** One message on the page: text, reasoning, tool calls, figures, and what can be done with it. */

import { splitReasoning } from "./answer.js";
import { button, copyButton, h } from "./dom.js";
import { shortFigures, usageRows } from "./figures.js";
import { MarkdownView } from "./markdown.js";

const NAMES = { user: "You", assistant: "Assistant", tool: "Tool" };
const ENDS = {
  stopped: "Stopped.",
  length: "The limit of tokens was reached.",
  content_filter: "Left out by a filter.",
};

/**
 * @typedef {Object} Actions What the buttons of a message do.
 * @property {((text: string) => void) | null} edit null while an answer is being written.
 * @property {(() => void) | null} regenerate
 * @property {(step: number) => void} branch
 * @property {((results: string[]) => void) | null} giveResults null without open tool calls.
 */

/** Shows a message, and follows it while it grows. */
export class MessageView {
  #thoughts = h("pre", { class: "thoughts" });
  #reasoning = h(
    "details",
    { class: "reasoning", hidden: true },
    h("summary", {}, "Reasoning"),
    this.#thoughts,
  );
  #calls = h("div", { class: "calls" });
  #text = h("div", { class: "text" });
  #end = h("div", { class: "end" });
  #timer = null;
  #cost = 0;

  /**
   * @param {import("./tree.js").Message} message
   * @param {{index: number, count: number}} place Among the branches.
   * @param {Actions} actions
   */
  constructor(message, place, actions) {
    this.message = message;
    this.actions = actions;
    this.place = place;
    this.markdown = new MarkdownView(this.#text);
    const heading = h(
      "h2",
      {},
      NAMES[message.role],
      message.model && h("small", {}, message.model),
    );
    this.element = h(
      "article",
      { class: `message ${message.role}`, "aria-label": NAMES[message.role] },
      heading,
      this.#reasoning,
      this.#text,
      this.#calls,
      this.#end,
    );
  }

  /** Shows what has come, but not more often than the browser can draw it. */
  updateSoon(answer, then) {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = null;
        const began = performance.now();
        this.update(answer);
        then();
        this.#cost = performance.now() - began;
      },
      Math.max(30, 3 * this.#cost),
    );
  }

  /** @param {import("./answer.js").Answer | null} answer Set while the message is being written. */
  update(answer) {
    clearTimeout(this.#timer);
    this.#timer = null;
    const { message } = this;
    const { reasoning, text } = splitReasoning(message);
    this.#reasoning.hidden = !reasoning;
    this.#thoughts.textContent = reasoning;
    if (message.role === "assistant") this.markdown.update(text);
    else this.#text.textContent = message.content;
    this.#calls.replaceChildren(...(message.toolCalls ?? []).map(callView));
    this.element.classList.toggle("writing", answer !== null);
    this.#end.replaceChildren(...(answer ? this.#now(answer) : this.#after()));
  }

  #now(answer) {
    const figures = shortFigures(answer.message.figures ?? {});
    return [
      h(
        "p",
        { class: "figures" },
        figures || `Waiting${answer.status ? `: ${answer.status}` : " for the first token"} …`,
      ),
    ];
  }

  #after() {
    const { message } = this;
    const nodes = [];
    if (message.role === "assistant") {
      const unfinished = !message.finish && !message.error;
      const note = unfinished ? "Not finished: the page was closed." : ENDS[message.finish];
      if (message.error) nodes.push(errorView(message.error, this.actions.regenerate));
      if (note) nodes.push(h("p", { class: "note" }, note));
      if (message.figures) nodes.push(...figuresView(message.figures));
    }
    if (this.actions.giveResults)
      nodes.push(resultsForm(message.toolCalls, this.actions.giveResults));
    return [...nodes, this.#buttons()];
  }

  #buttons() {
    const { message, place, actions } = this;
    const step = (by, label, text) =>
      button(text, () => actions.branch(by), {
        "aria-label": label,
        disabled: place.index + by < 0 || place.index + by >= place.count,
      });
    const branches =
      place.count > 1 &&
      h(
        "span",
        { class: "branches" },
        step(-1, "Previous branch", "‹"),
        `${place.index + 1} / ${place.count}`,
        step(1, "Next branch", "›"),
      );
    const copied = () =>
      message.role === "assistant" ? splitReasoning(message).text : message.content;
    return h(
      "div",
      { class: "actions" },
      branches,
      copyButton(copied, "the message"),
      message.role === "user" && actions.edit && button("Edit", () => this.#edit()),
      message.role === "assistant" &&
        actions.regenerate &&
        button("Regenerate", actions.regenerate),
    );
  }

  #edit() {
    const area = h("textarea", { "aria-label": "Edited message", rows: 4 });
    area.value = this.message.content;
    const cancel = () => {
      this.update(null);
      this.#end.querySelector(".actions button:last-child").focus();
    };
    const send = () => area.value.trim() && this.actions.edit(area.value);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    this.#text.replaceChildren(area);
    this.#end.replaceChildren(
      h("div", { class: "actions" }, button("Send", send), button("Cancel", cancel)),
    );
    area.focus();
  }
}

function callView(call) {
  let given = call.arguments;
  try {
    given = JSON.stringify(JSON.parse(given), null, 2);
  } catch {
    // Still being written, or not JSON: shown as it is.
  }
  return h(
    "details",
    { class: "call", open: true },
    h("summary", {}, "Calls ", h("code", {}, call.name)),
    h("pre", { tabindex: 0 }, given),
  );
}

/** The page runs no tools: the user gives what they would say. */
function resultsForm(calls, giveResults) {
  const areas = calls.map((call) =>
    h("textarea", { "aria-label": `Result of ${call.name}`, rows: 2 }),
  );
  const form = h(
    "form",
    { class: "results" },
    ...calls.map((call, at) => h("label", {}, `Result of ${call.name}`, areas[at])),
    h("button", { type: "submit" }, "Send results"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    giveResults(areas.map((area) => area.value));
  });
  return form;
}

function figuresView(figures) {
  const rows = usageRows(figures).map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)),
  );
  if (!rows.length) return [h("p", { class: "figures" }, shortFigures(figures))];
  return [
    h(
      "details",
      { class: "figures" },
      h("summary", {}, shortFigures(figures) || "Usage"),
      h("table", {}, h("tbody", {}, ...rows)),
    ),
  ];
}

/** What went wrong, and a button to try again when the server takes it. */
function errorView({ message, status, retryAfter }, retry) {
  const again = button("Try again", retry);
  const busy = status === 429 ? "The server is busy. " : "";
  const view = h(
    "div",
    { class: "error", role: "alert" },
    h("span", {}, busy + message),
    retry && again,
  );
  countDown(again, Math.ceil(retryAfter ?? 0));
  return view;
}

function countDown(again, seconds) {
  again.disabled = seconds > 0;
  again.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
  if (seconds > 0) setTimeout(() => countDown(again, seconds - 1), 1000);
}
