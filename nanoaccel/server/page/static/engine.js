/** The engine view: what /metrics says, read every second while it is seen, and the machine. */

import { engineFacts, metricsText } from "./api.js";
import { bars, line } from "./charts.js";
import { byId, h } from "./dom.js";
import { bytes, duration, rounded } from "./figures.js";
import { withKey } from "./key.js";
import { machineView } from "./machine.js";
import { quantile, Snapshot } from "./metrics.js";

const EVERY = 1000; // milliseconds
const KEPT = 60; // values of a line

/** Names and numbers of the cards; one whose number is null is left out. */
const CARDS = [
  ["Running", (now) => count(now.total("num_requests_running"))],
  ["Waiting", (now) => count(now.total("num_requests_waiting"))],
  ["Tokens written a second", (now, before) => count(now.rate("generation_tokens_total", before))],
  ["Tokens computed a second", (now, before) => count(now.rate("computed_tokens_total", before))],
  ["Cache held", (now) => percent(now.mean("kv_cache_usage_perc"))],
  ["Cache size", (now) => bytes(now.total("kv_cache_bytes"))],
  [
    "Prompt tokens found in the cache",
    (now) => ratio(now, "prefix_cache_hits_total", "prefix_cache_queries_total"),
  ],
  [
    "Drafts accepted",
    (now) =>
      ratio(now, "spec_decode_num_accepted_tokens_total", "spec_decode_num_draft_tokens_total"),
  ],
  ["Tokens a step with drafts", tokensAStep],
  ["Steps a second", (now, before) => count(now.rate("iterations_total", before))],
  ["Requests ended", (now) => count(now.total("request_success_total"))],
  ["Requests refused", (now) => count(now.total("requests_refused_total"))],
  ["Preemptions", (now) => count(now.total("num_preemptions_total"))],
];
/** Cards that are drawn over time as well. */
const LINES = {
  "Tokens written a second": (now, before) => now.rate("generation_tokens_total", before),
  Running: (now) => now.total("num_requests_running"),
  Waiting: (now) => now.total("num_requests_waiting"),
};

const TITLES = {
  time_to_first_token_seconds: "Time to the first token",
  inter_token_latency_seconds: "Between two tokens",
  request_queue_time_seconds: "In the queue",
  e2e_request_latency_seconds: "From submission to end",
  request_prompt_tokens: "Tokens of a prompt",
  request_generation_tokens: "Tokens of an answer",
  request_cached_ratio: "Share of a prompt found in the cache",
  request_acceptance_ratio: "Share of an answer's drafts accepted",
};

/** Shows the engine from {@link start} to {@link stop}. */
export class EngineView {
  #timer = null;
  #before = null;
  #lines = new Map(Object.keys(LINES).map((name) => [name, []]));

  /** Begins to read. */
  start() {
    this.stop();
    this.#read().then(() => this.#readMachine());
    this.#timer = setInterval(() => document.hidden || this.#read(), EVERY);
  }

  /** No longer reads. */
  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  async #read() {
    let text;
    try {
      text = await withKey(metricsText);
    } catch (error) {
      say(error.message);
      if (error.status === 401) this.stop();
      return;
    }
    const now = new Snapshot(text, performance.now() / 1000);
    say(now.samples.length ? "" : "The server has no figures.");
    this.#note(now);
    byId("cards").replaceChildren(...this.#cards(now));
    byId("histograms").replaceChildren(
      ...[...now.histograms()].map(([name, found]) => histogram(name, found, now)),
    );
    byId("figures").replaceChildren(
      ...now.samples.filter((one) => !one.name.endsWith("_bucket")).map(figure),
    );
    this.#before = now;
  }

  /** A server that does not tell of its machine has none here. */
  async #readMachine() {
    if (this.#timer === null) return;
    const facts = await engineFacts().catch(() => null);
    byId("machine").replaceChildren(...(facts ? machineView(facts) : []));
  }

  #note(now) {
    for (const [name, read] of Object.entries(LINES)) {
      const values = this.#lines.get(name);
      const value = read(now, this.#before);
      if (value !== null) values.push(value);
      if (values.length > KEPT) values.shift();
    }
  }

  #cards(now) {
    return CARDS.flatMap(([name, read]) => {
      const text = read(now, this.#before);
      if (text === null) return [];
      const values = this.#lines.get(name);
      const drawn = values?.length > 1 && line(values, KEPT, `${name}, over the last minute`);
      return [h("div", { class: "card" }, h("dt", {}, name), h("dd", {}, text, drawn))];
    });
  }
}

/** A line that a screen reader says when it changes. */
function say(text) {
  const state = byId("engine-state");
  if (state.textContent !== text) state.textContent = text;
}

function histogram(name, found, now) {
  const { help } = now.heads.get(name);
  const format = name.endsWith("_seconds") ? duration : rounded;
  const own = name.replace(/^.*:/, "");
  const title = TITLES[own] ?? own.replaceAll("_", " ");
  const at = (share) => format(quantile(found, share));
  const summary = found.count
    ? [
        `median ${at(0.5)}`,
        `95 % ${at(0.95)}`,
        `99 % ${at(0.99)}`,
        `mean ${format(found.sum / found.count)}`,
        `n = ${rounded(found.count)}`,
      ].join(" · ")
    : "No values yet";
  return h(
    "figure",
    { title: help },
    h("figcaption", {}, h("strong", {}, title), h("span", {}, summary)),
    found.count > 0 && bars(found, format, `${title}: ${summary}`),
  );
}

function figure({ name, labels, value }) {
  const words = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name),
    h("td", {}, words.join(", ")),
    h("td", {}, rounded(value)),
  );
}

function tokensAStep(now) {
  const drafts = now.total("spec_decode_num_drafts_total");
  const accepted = now.total("spec_decode_num_accepted_tokens_total");
  return drafts ? rounded(1 + accepted / drafts) : null;
}

function ratio(now, part, whole) {
  const all = now.total(whole);
  return all ? percent(now.total(part) / all) : null;
}

function count(value) {
  return value === null ? null : rounded(value);
}

function percent(value) {
  return value === null ? null : `${rounded(100 * value)} %`;
}
