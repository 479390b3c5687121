/** What the user sets for a conversation, and what of it goes into a request. */

import { byId } from "./dom.js";

/**
 * @typedef {Object} Settings Texts as they were typed; an empty one leaves it to the server.
 * @property {string} model
 * @property {string} system
 * @property {string} temperature
 * @property {string} top_p
 * @property {string} max_tokens
 * @property {string} seed
 * @property {string} schema A JSON schema.
 * @property {string} tools A JSON array.
 */

const LAST = "nanoaccel.settings";
const NUMBERS = ["temperature", "top_p", "max_tokens", "seed"];
const NAMES = ["model", "system", ...NUMBERS, "schema", "tools"];
const JSON_KINDS = { schema: "object", tools: "array" };

/** Settings with every field a text, whatever was found. @returns {Settings} */
export function checkedSettings(found) {
  const text = (name) => (typeof found?.[name] === "string" ? found[name] : "");
  return Object.fromEntries(NAMES.map((name) => [name, text(name)]));
}

/** What a new conversation begins with. */
export function lastSettings() {
  try {
    return checkedSettings(JSON.parse(localStorage.getItem(LAST)));
  } catch {
    return checkedSettings({});
  }
}

/**
 * The fields of a request.
 *
 * @param {Settings} settings
 * @throws {Error} A number or a JSON text is none.
 */
export function requestFields(settings) {
  const fields = settings.model ? { model: settings.model } : {};
  for (const name of NUMBERS) {
    if (settings[name].trim()) fields[name] = Number(settings[name]);
    if (Number.isNaN(fields[name])) throw new Error(`Settings: ${name} is not a number.`);
  }
  const schema = parsedJson(settings, "schema");
  if (schema) {
    fields.response_format = {
      type: "json_schema",
      json_schema: { name: "answer", strict: true, schema },
    };
  }
  const tools = parsedJson(settings, "tools");
  if (tools?.length) fields.tools = tools;
  return fields;
}

function parsedJson(settings, name) {
  const text = settings[name].trim();
  if (!text) return null;
  const kind = JSON_KINDS[name];
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Settings: ${name} is not valid JSON: ${error.message}`);
  }
  if (value === null || typeof value !== "object" || (kind === "array") !== Array.isArray(value)) {
    throw new Error(`Settings: ${name} has to be a JSON ${kind}.`);
  }
  return value;
}

/** The form and the list of models, which change the settings of the open conversation. */
export class SettingsPanel {
  #form = byId("settings");
  #model = byId("model");
  #settings;

  /** @param {(settings: Settings) => void} changed */
  constructor(changed) {
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    for (const field of [this.#form, this.#model]) {
      field.addEventListener("input", () => {
        Object.assign(this.#settings, this.#read());
        localStorage.setItem(LAST, JSON.stringify(this.#settings));
        this.#mark();
        changed(this.#settings);
      });
    }
  }

  /** Shows settings, and changes them from now on. */
  show(settings) {
    this.#settings = settings;
    for (const name of NAMES.slice(1)) this.#form.elements[name].value = settings[name];
    this.#choose();
    this.#mark();
  }

  /** @param {string[]} names The models that the server has. */
  offer(names) {
    this.#model.replaceChildren(...names.map((name) => new Option(name, name)));
    this.#choose();
  }

  #choose() {
    const names = [...this.#model.options].map((option) => option.value);
    if (!names.length) return;
    if (!names.includes(this.#settings.model)) this.#settings.model = names[0];
    this.#model.value = this.#settings.model;
  }

  #read() {
    const fields = NAMES.slice(1).map((name) => [name, this.#form.elements[name].value]);
    return Object.fromEntries([["model", this.#model.value || this.#settings.model], ...fields]);
  }

  #mark() {
    for (const name of Object.keys(JSON_KINDS)) {
      let message = "";
      try {
        parsedJson(this.#settings, name);
      } catch (error) {
        message = error.message.replace("Settings: ", "");
      }
      this.#form.elements[name].setAttribute("aria-invalid", String(message !== ""));
      byId(`${name}-error`).textContent = message;
    }
  }
}
