/** Prometheus' text format, and what can be read out of its numbers. */

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const PREFIX = "nanoaccel:";

/**
 * @typedef {Object} Histogram
 * @property {number[]} bounds Upper bounds, ascending; the last one is Infinity.
 * @property {number[]} counts Values in each bucket.
 * @property {number} sum
 * @property {number} count
 */

/** One reading of the metrics. */
export class Snapshot {
  /** @type {{name: string, labels: Object<string, string>, value: number}[]} */
  samples = [];
  /** @type {Map<string, {type: string, help: string}>} */
  heads = new Map();

  /**
   * @param {string} text
   * @param {number} time Seconds; only differences count.
   */
  constructor(text, time) {
    this.time = time;
    for (const line of text.split("\n")) this.#read(line);
  }

  #read(line) {
    const head = /^# (HELP|TYPE) (\S+) (.*)/.exec(line);
    if (head) {
      const [, kind, name, rest] = head;
      const known = this.heads.get(name) ?? { type: "untyped", help: "" };
      this.heads.set(name, { ...known, [kind.toLowerCase()]: rest.trim() });
      return;
    }
    const found = SAMPLE.exec(line);
    if (!found) return;
    const labels = {};
    for (const [, name, text] of (found[2] ?? "").matchAll(LABEL)) {
      labels[name] = text.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    this.samples.push({ name: found[1], labels, value: number(found[3]) });
  }

  /** Sum over all labels, or null when there is no such metric. */
  total(name) {
    const found = this.samples.filter((sample) => sample.name === PREFIX + name);
    return found.length ? found.reduce((sum, sample) => sum + sample.value, 0) : null;
  }

  /** Mean over all labels, or null. */
  mean(name) {
    const found = this.samples.filter((sample) => sample.name === PREFIX + name);
    return found.length ? this.total(name) / found.length : null;
  }

  /** How much a counter rose each second since an earlier reading, or null. */
  rate(name, before) {
    const [now, then] = [this.total(name), before?.total(name) ?? null];
    if (now === null || then === null || this.time <= before.time) return null;
    return Math.max(0, now - then) / (this.time - before.time);
  }

  /**
   * All histograms by their names, each summed over its labels.
   *
   * @returns {Map<string, Histogram>}
   */
  histograms() {
    const names = [...this.heads]
      .filter(([, head]) => head.type === "histogram")
      .map(([name]) => name);
    return new Map(names.map((name) => [name, this.#histogram(name)]));
  }

  #histogram(name) {
    const cumulated = new Map();
    let sum = 0;
    for (const sample of this.samples) {
      if (sample.name === `${name}_sum`) sum += sample.value;
      if (sample.name !== `${name}_bucket`) continue;
      const bound = number(sample.labels.le);
      cumulated.set(bound, (cumulated.get(bound) ?? 0) + sample.value);
    }
    const bounds = [...cumulated.keys()].sort((one, other) => one - other);
    const upTo = bounds.map((bound) => cumulated.get(bound));
    const counts = upTo.map((count, at) => count - (upTo[at - 1] ?? 0));
    return { bounds, counts, sum, count: upTo.at(-1) ?? 0 };
  }
}

/**
 * The value that a share of all values do not exceed, linear within its bucket as Prometheus has
 * it; null when there are no values.
 *
 * @param {Histogram} histogram
 * @param {number} share From 0 to 1.
 */
export function quantile({ bounds, counts, count }, share) {
  if (!count) return null;
  let rank = share * count;
  const at = counts.findIndex((values) => values > 0 && (rank -= values) <= 0);
  const low = bounds[at - 1] ?? 0;
  if (bounds[at] === Infinity) return low;
  return low + ((bounds[at] - low) * (rank + counts[at])) / counts[at];
}

function number(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}
