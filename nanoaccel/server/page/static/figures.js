/** Speed and usage of an answer, in words. */

const NAMES = {
  completion_tokens: "tokens",
  prompt_tokens: "prompt tokens",
  total_tokens: "tokens in all",
  "prompt_tokens_details.cached_tokens": "of the prompt cached",
  "completion_tokens_details.reasoning_tokens": "of them reasoning",
  "completion_tokens_details.accepted_prediction_tokens": "guessed right",
  "completion_tokens_details.rejected_prediction_tokens": "guessed wrong",
  "timings.queued_seconds": "in the queue",
  "timings.first_token_seconds": "to the first token, at the server",
  "timings.total_seconds": "in all, at the server",
};

/**
 * All numbers of a usage object by their paths, so that what a server adds is shown too.
 *
 * @param {object} usage
 * @returns {Object<string, number>}
 */
export function flatUsage(usage, prefix = "") {
  const flat = {};
  for (const [key, value] of Object.entries(usage)) {
    if (Number.isFinite(value)) flat[prefix + key] = value;
    else if (value && typeof value === "object")
      Object.assign(flat, flatUsage(value, `${prefix + key}.`));
  }
  return flat;
}

/** One line: "21.4 tokens/s · first token after 120 ms · 34 tokens". */
export function shortFigures(figures) {
  const parts = [];
  if (figures.tokens_per_second) parts.push(`${rounded(figures.tokens_per_second)} tokens/s`);
  if (figures.time_to_first_token !== undefined) {
    parts.push(`first token after ${duration(figures.time_to_first_token)}`);
  }
  if (figures.tokens !== undefined) parts.push(`${figures.tokens} tokens`);
  const steps = figures["timings.steps"];
  if (figures.tokens > steps) parts.push(`${rounded(figures.tokens / steps)} tokens a step`);
  const cached = figures["prompt_tokens_details.cached_tokens"];
  if (cached) parts.push(`${cached} of ${figures.prompt_tokens} prompt tokens cached`);
  return parts.join(" · ");
}

/** What usage and timings say, as pairs of name and number. */
export function usageRows(figures) {
  const own = ["tokens", "tokens_per_second", "time_to_first_token", "timings.cached_tokens"];
  return Object.entries(figures)
    .filter(([key]) => !own.includes(key))
    .map(([key, value]) => [
      NAMES[key] ?? key.replace(/.*\./, "").replaceAll("_", " "),
      key.endsWith("_seconds") ? duration(value) : rounded(value),
    ]);
}

/** Seconds with a fitting unit. */
export function duration(seconds) {
  if (seconds < 0.001) return `${rounded(seconds * 1e6)} µs`;
  if (seconds < 1) return `${rounded(seconds * 1000)} ms`;
  if (seconds < 120) return `${rounded(seconds)} s`;
  return `${rounded(seconds / 60)} min`;
}

/** Three figures, and no more digits than a number has. */
export function rounded(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100)
    return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** Bytes with a fitting unit; null for null. */
export function bytes(value) {
  if (value === null) return null;
  const [size, unit] = value >= 1e9 ? [1e9, "GB"] : value >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${rounded(value / size)} ${unit}`;
}
