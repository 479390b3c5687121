/** The server's API: models, chat, metrics. Paths are relative, so a proxy may add a prefix. */

import { serverEvents } from "./sse.js";

const KEY = "nanoaccel.api-key";

/** What the server refused, or that it could not be reached (status 0). */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status; 0 when there was no answer.
   * @param {number | null} retryAfter Seconds, when the server named them.
   */
  constructor(message, status, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Keeps the key for as long as the tab is open; an empty one is forgotten. */
export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Names of the models that the server has. */
export async function models() {
  const answer = await (await request("v1/models")).json();
  return answer.data.map((model) => model.id);
}

/** The machine and its models, as `/v1/engine` tells them. */
export async function engineFacts() {
  return (await request("v1/engine")).json();
}

/** The metrics page, as text. */
export async function metricsText() {
  return (await request("metrics")).text();
}

/**
 * Streams a chat completion.
 *
 * @param {object} body What `/v1/chat/completions` takes; `stream` is added.
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{chunk?: object, comment?: string}>} Ends after `[DONE]`.
 * @throws {ApiError} Refused, broken off, or ended by the server with an error.
 */
export async function* streamChat(body, signal) {
  const stream_options = { include_usage: true };
  const sent = { ...body, stream: true, stream_options, return_progress: true };
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(sent),
    signal,
  });
  const events = serverEvents(response.body);
  for (;;) {
    const { done, value } = await events.next().catch((error) => lost(error, signal));
    if (done) throw new ApiError("The connection was lost before the answer was complete.", 0);
    if (value.kind === "comment") yield { comment: value.text };
    else if (value.text === "[DONE]") return;
    else yield { chunk: parsed(value.text) };
  }
}

function parsed(text) {
  let chunk = null;
  try {
    chunk = JSON.parse(text);
  } catch {
    // Refused below.
  }
  if (chunk === null || typeof chunk !== "object") {
    throw new ApiError("The server sent an event that is no JSON object.", 0);
  }
  if (chunk.error) throw new ApiError(messageOf(chunk) ?? "The server broke off.", 0);
  return chunk;
}

function lost(error, signal) {
  if (signal?.aborted) throw error;
  throw new ApiError("The connection was lost before the answer was complete.", 0);
}

async function request(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response) {
  const text = await response.text().catch(() => "");
  let message = null;
  try {
    message = messageOf(JSON.parse(text));
  } catch {
    // A proxy's answer: its status has to do.
  }
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const retryAfter = Number.isFinite(seconds) ? Math.max(0, seconds) : null;
  return new ApiError(
    message ?? `The server answered ${response.status}.`,
    response.status,
    retryAfter,
  );
}

function messageOf(answer) {
  const message = answer?.error?.message ?? answer?.error;
  return typeof message === "string" ? message : null;
}
