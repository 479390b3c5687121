/** The list of conversations: search, open, rename, delete, export, import. */

import { running } from "./answering.js";
import { ask, notice } from "./dialogs.js";
import { button, byId, h } from "./dom.js";
import * as store from "./store.js";
import { download, importText } from "./transfer.js";

/** Shows the conversations that the browser keeps. */
export class Sidebar {
  #list = byId("conversations");
  #search = byId("search");
  #open = null;
  #turn = 0;

  /**
   * @param {(id: string) => Promise<import("./tree.js").Conversation>} find
   * @param {(id: string) => void} gone Called after a conversation was deleted.
   */
  constructor(find, gone) {
    this.find = find;
    this.gone = gone;
    this.#search.addEventListener("input", () => this.refresh());
    byId("export").addEventListener("click", async () =>
      download(await store.all(), "conversations"),
    );
    byId("import").addEventListener("click", () => byId("import-file").click());
    byId("import-file").addEventListener("change", (event) => this.#import(event.target));
  }

  /** Reads the conversations again. @param {string} [open] Id of the one that is shown. */
  async refresh(open = this.#open) {
    this.#open = open;
    const turn = ++this.#turn;
    let found;
    try {
      found = await store.search(this.#search.value);
    } catch (error) {
      notice(`This browser keeps no conversations: ${error.message}`);
      return;
    }
    if (turn !== this.#turn) return; // a later call has newer ones
    this.#list.replaceChildren(...found.map((conversation) => this.#row(conversation)));
    if (!found.length) {
      this.#list.append(
        h("li", { class: "none" }, this.#search.value ? "Nothing found" : "Nothing yet"),
      );
    }
  }

  #row(conversation) {
    const { id, title } = conversation;
    const current = id === this.#open ? "page" : null;
    const act = (label, work) =>
      button(label, () => work(id), { "aria-label": `${label} ${title}` });
    return h(
      "li",
      {},
      h("a", { href: `#/chat/${id}`, "aria-current": current }, title || "Untitled"),
      h(
        "details",
        {},
        h("summary", { "aria-label": `Actions for ${title}` }, "⋯"),
        h(
          "div",
          { class: "row" },
          act("Rename", (one) => this.#rename(one)),
          act("Export", async (one) => download([await this.find(one)], "conversation")),
          act("Delete", (one) => this.#delete(one, title)),
        ),
      ),
    );
  }

  async #rename(id) {
    const conversation = await this.find(id);
    const title = await ask({
      title: "Rename",
      label: "Title",
      value: conversation.title,
      confirm: "Rename",
    });
    if (!title?.trim()) return;
    conversation.title = title.trim();
    await store.put(conversation);
    this.refresh();
  }

  async #delete(id, title) {
    const sure = await ask({
      title: "Delete",
      text: `Delete “${title}” with all its branches?`,
      confirm: "Delete",
    });
    if (sure === null) return;
    running.get(id)?.forget();
    await store.remove(id);
    this.gone(id);
    this.refresh();
  }

  async #import(input) {
    const [file] = input.files;
    if (!file) return;
    try {
      const count = await importText(await file.text());
      notice(
        count === 1 ? "One conversation was imported." : `${count} conversations were imported.`,
      );
    } catch (error) {
      notice(`Nothing was imported. ${error.message}`);
    }
    input.value = "";
    this.refresh();
  }
}
