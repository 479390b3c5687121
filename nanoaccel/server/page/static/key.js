/** The API key: asked for when the server answers 401, kept while the tab is open. */

import { ApiError, setKey } from "./api.js";
import { ask } from "./dialogs.js";

let asking = null;

/**
 * Does some work again with a key when the server wants one.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 * @throws {ApiError} Also the 401, when the user gives no key.
 */
export async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      // Several requests may be refused at once: one question is enough.
      asking ??= askForKey(error.message).finally(() => (asking = null));
      if (!(await asking)) throw error;
    }
  }
}

async function askForKey(text) {
  const key = await ask({
    title: "API key",
    text,
    label: "API key",
    type: "password",
    confirm: "Use key",
  });
  if (key) setKey(key.trim());
  return Boolean(key);
}
