/** Questions in a modal dialog, and notices. */

import { button, byId, h } from "./dom.js";

/**
 * Asks for a text, or only for a yes.
 *
 * @param {Object} question
 * @param {string} question.title
 * @param {string} [question.text]
 * @param {string} [question.label] Of the field; without one there is no field.
 * @param {string} [question.value]
 * @param {string} [question.type] Of the field.
 * @param {string} question.confirm Text of the button that agrees.
 * @returns {Promise<string | null>} null when it was cancelled; "" without a field.
 */
export function ask({ title, text, label, value = "", type = "text", confirm }) {
  return new Promise((resolve) => {
    const field = label && h("input", { type, autocomplete: "off", "aria-label": label });
    if (field) field.value = value;
    const dialog = h(
      "dialog",
      { "aria-label": title },
      h(
        "form",
        { method: "dialog" },
        h("h2", {}, title),
        text && h("p", {}, text),
        field,
        h(
          "div",
          { class: "row" },
          button("Cancel", () => dialog.close()),
          h("button", { type: "submit" }, confirm),
        ),
      ),
    );
    let answer = null;
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      answer = field ? field.value : "";
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (field ?? dialog.querySelector("[type=submit]")).focus();
  });
}

/** Shows a line until the next one, or until it is dismissed; "" hides it. */
export function notice(text, action = null) {
  const shown = byId("notice");
  if (!text) shown.replaceChildren();
  else {
    const dismiss = button("✕", () => shown.replaceChildren(), { "aria-label": "Dismiss" });
    shown.replaceChildren(...[h("span", {}, text), action, dismiss].filter(Boolean));
  }
}

/** Has a screen reader say a line. */
export function announce(text) {
  byId("announcer").textContent = text;
}
