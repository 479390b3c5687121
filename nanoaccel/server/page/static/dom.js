/** Making elements: text always becomes a text node, never markup. */

/**
 * Makes an element.
 *
 * @param {string} name Its tag.
 * @param {Object<string, unknown>} [attributes] `on...` functions listen; `class` and other
 *   attributes are set; `true` sets an empty one; `false`, `null` and `undefined` set none.
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, String(value));
    }
  }
  element.append(...children.filter((child) => child || child === ""));
  return element;
}

/** A button that is no submit button. */
export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}

/** The element of an id in index.html. */
export function byId(id) {
  return document.getElementById(id);
}

/** A button that copies what `text()` gives, and says so. */
export function copyButton(text, what) {
  const copy = button(
    "Copy",
    async () => {
      copy.textContent = (await copied(text())) ? "Copied" : "Not allowed";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    },
    { "aria-label": `Copy ${what}` },
  );
  return copy;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

/** For pages that came over plain HTTP from another machine: these have no clipboard object. */
function copiedBySelection(text) {
  const area = h("textarea", { class: "offscreen", "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}
