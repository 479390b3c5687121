/** An answer as it streams in: text, reasoning, tool calls, and how fast it came. */

import { flatUsage } from "./figures.js";

const SHORTEST = 0.02; // seconds that a speed can be measured over

/** Collects the chunks of one answer into its message. */
export class Answer {
  #began = performance.now();
  #first = null;
  #last = null;
  #pieces = 0;
  #calls = new Map();

  /** @param {import("./tree.js").Message} message Changed in place. */
  constructor(message) {
    this.message = message;
    /** What the server says while nothing comes yet, or null. */
    this.status = null;
  }

  /** Takes what {@link streamChat} gives. */
  take({ chunk, comment }) {
    if (comment !== undefined) this.#note(comment);
    else {
      this.#progress(chunk);
      const choice = chunk.choices?.find((one) => (one.index ?? 0) === 0);
      if (choice?.delta) this.#delta(choice.delta);
      if (choice?.finish_reason) this.message.finish = choice.finish_reason;
      if (chunk.model) this.message.model = chunk.model;
      this.message.figures = this.#figures({ ...chunk.usage, timings: chunk.timings });
    }
  }

  #delta(delta) {
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? "";
    if (!delta.content && !reasoning && !delta.tool_calls?.length) return;
    this.#last = performance.now();
    this.#first ??= this.#last;
    this.#pieces += 1;
    this.status = null;
    this.message.content += delta.content ?? "";
    if (reasoning) this.message.reasoning = (this.message.reasoning ?? "") + reasoning;
    for (const fragment of delta.tool_calls ?? []) this.#fragment(fragment);
  }

  /** Name and id come first, the arguments piece by piece. */
  #fragment({ index = 0, id, function: called = {} }) {
    let call = this.#calls.get(index);
    if (!call) {
      call = { id: "", name: "", arguments: "" };
      this.#calls.set(index, call);
      (this.message.toolCalls ??= []).push(call);
    }
    call.id ||= id ?? "";
    call.name += called.name ?? "";
    call.arguments += called.arguments ?? "";
  }

  #note(comment) {
    if (this.#first === null && comment && !/^(ping|keep-?alive)$/i.test(comment))
      this.status = comment;
  }

  /** The place in the queue, then the prompt as llama.cpp's server reports it. */
  #progress({ queue, prompt_progress: prompt }) {
    if (this.#first !== null) return;
    if (queue) this.status = `place ${queue.place} of ${queue.waiting} in the queue`;
    if (prompt) this.status = `reading the prompt: ${prompt.processed} of ${prompt.total} tokens`;
  }

  /** Until the server has counted the tokens, a piece counts as one. */
  #figures(usage) {
    const figures = { ...this.message.figures, ...flatUsage(usage) };
    if (this.#first === null) return figures;
    figures.time_to_first_token = (this.#first - this.#began) / 1000;
    figures.tokens = figures.completion_tokens ?? this.#pieces;
    figures.tokens_per_second = this.#speed(figures) ?? figures.tokens_per_second ?? 0;
    return figures;
  }

  /** By the server's clock, or else by when the pieces came; null when these came at once. */
  #speed({ tokens, "timings.first_token_seconds": first, "timings.total_seconds": total }) {
    if (total > first) return (tokens - 1) / (total - first);
    const seconds = (this.#last - this.#first) / 1000;
    // The first piece is where the time begins: it does not count.
    return seconds > SHORTEST ? (tokens * (1 - 1 / this.#pieces)) / seconds : null;
  }
}

/**
 * Splits `<think>` blocks off a text. Some templates open the block in the prompt: then only its
 * end is in the answer, on a line of its own.
 *
 * @param {import("./tree.js").Message} message
 * @returns {{reasoning: string, text: string}}
 */
export function splitReasoning({ content, reasoning = "" }) {
  const thoughts = reasoning ? [reasoning] : [];
  let text = content;
  const opened = /^\s*<think>/.exec(text);
  const end = text.indexOf("</think>");
  if (opened || end === 0 || text[end - 1] === "\n") {
    thoughts.push(text.slice(opened?.[0].length ?? 0, end < 0 ? undefined : end));
    text = end < 0 ? "" : text.slice(end + "</think>".length);
  }
  return { reasoning: thoughts.join("\n").trim(), text: text.trimStart() };
}
