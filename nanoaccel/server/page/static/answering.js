/** Has the server write an answer into its message, and keeps what came. */

import { ApiError, streamChat } from "./api.js";
import { Answer, splitReasoning } from "./answer.js";
import { notice } from "./dialogs.js";
import { withKey } from "./key.js";
import { requestFields } from "./settings.js";
import * as store from "./store.js";
import { pathTo } from "./tree.js";

const SAVE_EVERY = 1000; // milliseconds

/**
 * The answers that are being written, by conversation.
 *
 * @type {Map<string, {conversation: object, answer: Answer, stop: () => void, forget: () => void}>}
 */
export const running = new Map();

/**
 * Writes an answer. Whatever happens, the message says how it ended.
 *
 * @param {import("./tree.js").Conversation} conversation
 * @param {import("./tree.js").Message} message The empty answer; the path to it is the prompt.
 * @param {() => void} changed Called after each piece, and at the end.
 */
export async function writeAnswer(conversation, message, changed) {
  const abort = new AbortController();
  const answer = new Answer(message);
  let kept = true;
  const save = () => kept && store.put(conversation).catch(notKept);
  const forget = () => {
    kept = false;
    abort.abort();
  };
  running.set(conversation.id, { conversation, answer, stop: () => abort.abort(), forget });
  try {
    await save();
    const body = requestBody(conversation, message);
    await withKey(() => receive(body, abort.signal, answer, save, changed));
    message.finish ??= "stop";
  } catch (error) {
    if (abort.signal.aborted) message.finish = "stopped";
    else message.error = describe(error);
  } finally {
    running.delete(conversation.id);
    conversation.updated = Date.now();
    changed();
    await save();
  }
}

async function receive(body, signal, answer, save, changed) {
  let saved = performance.now();
  for await (const event of streamChat(body, signal)) {
    answer.take(event);
    changed();
    if (performance.now() - saved > SAVE_EVERY) {
      saved = performance.now();
      await save();
    }
  }
}

function notKept(error) {
  notice(`This browser does not keep the conversation: ${error?.message ?? "it has no room"}.`);
}

function describe(error) {
  const { message, status = 0, retryAfter = null } = error;
  return { message: error instanceof ApiError ? message : String(message), status, retryAfter };
}

function requestBody(conversation, message) {
  const system = conversation.settings.system.trim();
  const messages = requestMessages(pathTo(conversation, message.parent));
  if (system) messages.unshift({ role: "system", content: system });
  return { ...requestFields(conversation.settings), messages };
}

/** Thoughts are not sent back, and a call without its result is not either. */
function requestMessages(path) {
  const answered = new Set(path.map((message) => message.toolCallId));
  return path.flatMap((message) => {
    if (message.role === "user") return [{ role: "user", content: message.content }];
    if (message.role === "tool") {
      return [{ role: "tool", tool_call_id: message.toolCallId, content: message.content }];
    }
    const calls = (message.toolCalls ?? []).filter((call) => answered.has(call.id));
    const { text } = splitReasoning(message);
    if (!text && !calls.length) return [];
    const tool_calls = calls.map(({ id, name, arguments: given }) => ({
      id,
      type: "function",
      function: { name, arguments: given },
    }));
    return [{ role: "assistant", content: text, ...(calls.length ? { tool_calls } : {}) }];
  });
}
