/** The chat view: the branch that is shown, the message box, and what sends and stops. */

import { running, writeAnswer } from "./answering.js";
import { announce } from "./dialogs.js";
import { byId } from "./dom.js";
import { MessageView } from "./message.js";
import * as store from "./store.js";
import { append, pathTo, removeLeaf, show, siblings } from "./tree.js";

const NEAR_END = 40; // pixels

/** Shows one conversation at a time; answers of others go on behind it. */
export class Chat {
  #list = byId("messages");
  #text = byId("composer-text");
  #views = [];

  /**
   * @param {import("./tree.js").Conversation} conversation
   * @param {() => void} changed Called when a conversation was sent to or answered.
   */
  constructor(conversation, changed) {
    this.conversation = conversation;
    this.changed = changed;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendTyped();
    });
    byId("stop").addEventListener("click", () => this.stop());
    this.#text.addEventListener("input", () => this.#fit());
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#sendTyped();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.stop();
    });
  }

  /** @param {import("./tree.js").Conversation} conversation */
  open(conversation) {
    this.conversation = conversation;
    this.render();
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** Stops the answer that is being written here. */
  stop() {
    if (!running.has(this.conversation.id)) return;
    running.get(this.conversation.id).stop();
    this.#text.focus();
  }

  /** Shows the messages anew. */
  render() {
    const entry = running.get(this.conversation.id);
    const path = pathTo(this.conversation);
    this.#views = path.map((message) => this.#view(message, message === path.at(-1)));
    for (const view of this.#views) {
      view.update(entry?.answer.message === view.message ? entry.answer : null);
    }
    this.#list.replaceChildren(...this.#views.map((view) => view.element));
    byId("welcome").hidden = path.length > 0;
    this.#list.setAttribute("aria-busy", String(Boolean(entry)));
    byId("send").hidden = Boolean(entry);
    byId("stop").hidden = !entry;
  }

  #view(message, last) {
    const { conversation } = this;
    const others = siblings(conversation, message);
    const index = others.indexOf(message);
    const idle = !running.has(conversation.id);
    const results = last && idle && message.toolCalls?.length;
    return new MessageView(
      message,
      { index, count: others.length },
      {
        edit: idle ? (text) => this.#ask(message.parent, text) : null,
        regenerate: idle ? () => this.#regenerate(message) : null,
        branch: (step) => this.#branch(others[index + step]),
        giveResults: results ? (texts) => this.#giveResults(message, texts) : null,
      },
    );
  }

  #sendTyped() {
    const text = this.#text.value;
    if (!text.trim() || running.has(this.conversation.id)) return;
    this.#text.value = "";
    this.#fit();
    this.#ask(this.conversation.leaf, text);
  }

  #ask(parent, text) {
    if (running.has(this.conversation.id)) return;
    this.#answer(append(this.conversation, parent, { role: "user", content: text }).id);
  }

  #giveResults(message, texts) {
    let parent = message.id;
    texts.forEach((content, at) => {
      const toolCallId = message.toolCalls[at].id;
      parent = append(this.conversation, parent, { role: "tool", content, toolCallId }).id;
    });
    this.#answer(parent);
  }

  /** A new branch; an answer that failed before its first token makes room for it. */
  #regenerate(message) {
    if (running.has(this.conversation.id)) return;
    const empty = !message.content && !message.reasoning && !message.toolCalls;
    if (message.error && empty) removeLeaf(this.conversation, message);
    this.#answer(message.parent);
  }

  async #branch(message) {
    show(this.conversation, message);
    this.render();
    if (!running.has(this.conversation.id)) await store.put(this.conversation);
  }

  async #answer(parent) {
    const { conversation } = this;
    const message = append(conversation, parent, { role: "assistant", content: "" });
    const written = writeAnswer(conversation, message, () => this.#follow(conversation, message));
    this.render();
    this.#list.scrollTop = this.#list.scrollHeight;
    this.changed();
    await written;
    if (this.conversation === conversation) {
      this.#keepingEnd(() => this.render());
      announce(message.error ? "" : "The answer is complete.");
    }
    this.changed();
  }

  #follow(conversation, message) {
    if (this.conversation !== conversation) return;
    const entry = running.get(conversation.id);
    const view = this.#views.find((one) => one.message === message);
    if (!entry || !view) return;
    const atEnd = this.#atEnd();
    view.updateSoon(entry.answer, () => atEnd && this.#toEnd());
  }

  #keepingEnd(work) {
    const atEnd = this.#atEnd();
    const { scrollTop } = this.#list;
    work();
    if (atEnd) this.#toEnd();
    else this.#list.scrollTop = scrollTop;
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight + 2}px`;
  }
}
