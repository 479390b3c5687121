/** Light, dark, or as the system says. */

import { byId } from "./dom.js";

const KEY = "nanoaccel.theme";
const NAMES = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** Applies the kept choice, and lets the button change it. */
export function startTheme() {
  let chosen = Math.max(0, NAMES.indexOf(localStorage.getItem(KEY)));
  const apply = () => {
    const name = NAMES[chosen];
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = SIGNS[name];
    byId("theme").setAttribute("aria-label", `Theme: ${name}`);
    byId("theme").title = `Theme: ${name}`;
  };
  byId("theme").addEventListener("click", () => {
    chosen = (chosen + 1) % NAMES.length;
    localStorage.setItem(KEY, NAMES[chosen]);
    apply();
  });
  apply();
}
