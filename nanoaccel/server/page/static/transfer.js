/** Conversations as JSON files: the whole tree out, and checked on the way in. */

import { h } from "./dom.js";
import { checkedSettings } from "./settings.js";
import * as store from "./store.js";
import { newId } from "./tree.js";

const FORMAT = "nanoaccel-conversations";
const ROLES = ["user", "assistant", "tool"];
const TEXTS = ["reasoning", "toolCallId", "model", "finish"];

/** Saves conversations as a file of the browser's downloads. */
export function download(conversations, name) {
  const text = JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 2);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: `${name}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Stores the conversations of a file; one whose id is taken gets another.
 *
 * @param {string} text
 * @returns {Promise<number>} How many there were.
 * @throws {Error} The file is not one of ours: nothing was stored.
 */
export async function importText(text) {
  const conversations = read(text);
  for (const conversation of conversations) {
    if (await store.get(conversation.id)) conversation.id = newId();
    await store.put(conversation);
  }
  return conversations.length;
}

function read(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("The file is no JSON.");
  }
  if (file?.format !== FORMAT || !Array.isArray(file.conversations)) {
    throw new Error("The file does not hold exported conversations.");
  }
  if (file.version !== 1) throw new Error(`Version ${file.version} of the format is not known.`);
  try {
    return file.conversations.map(checkedConversation);
  } catch (error) {
    throw error instanceof TypeError ? damaged("part of it") : error;
  }
}

function checkedConversation(found) {
  const known = new Set();
  const messages = found.messages.map((message) => {
    const checked = checkedMessage(message, known);
    known.add(checked.id);
    return checked;
  });
  if (found.leaf !== null && !known.has(found.leaf)) throw damaged("leaf");
  return {
    id: string(found.id, "id"),
    title: string(found.title, "title"),
    created: number(found.created, "created"),
    updated: number(found.updated, "updated"),
    leaf: found.leaf,
    messages,
    settings: checkedSettings(found.settings),
  };
}

/** Only what is known is taken over; a parent stands before its children, so there is no circle. */
function checkedMessage(found, known) {
  if (!ROLES.includes(found.role)) throw damaged("role");
  if (found.parent !== null && !known.has(found.parent)) throw damaged("parent");
  if (known.has(found.id)) throw damaged("id");
  const message = {
    id: string(found.id, "id"),
    parent: found.parent,
    role: found.role,
    content: string(found.content, "content"),
  };
  for (const name of TEXTS) {
    if (found[name] !== undefined) message[name] = string(found[name], name);
  }
  if (found.toolCalls !== undefined) message.toolCalls = found.toolCalls.map(checkedCall);
  if (found.error !== undefined) {
    message.error = { message: string(found.error.message, "error"), status: 0, retryAfter: null };
  }
  if (found.figures !== undefined) message.figures = checkedFigures(found.figures);
  return message;
}

function checkedCall(call) {
  const { id, name, arguments: given } = call;
  return {
    id: string(id, "id"),
    name: string(name, "name"),
    arguments: string(given, "arguments"),
  };
}

function checkedFigures(figures) {
  const numbers = Object.entries(figures).filter(([, value]) => Number.isFinite(value));
  return Object.fromEntries(numbers);
}

function string(value, name) {
  if (typeof value !== "string") throw damaged(name);
  return value;
}

function number(value, name) {
  if (!Number.isFinite(value)) throw damaged(name);
  return value;
}

function damaged(name) {
  return new Error(`The file is damaged: ${name} is missing or wrong.`);
}
