/** Small pictures in SVG. */

import { h } from "./dom.js";

const FEWEST_BARS = 10;
const SVG = "http://www.w3.org/2000/svg";

/**
 * A histogram's buckets as bars, those with values and some around them, over their bounds.
 *
 * @param {import("./metrics.js").Histogram} histogram
 * @param {(bound: number) => string} format Writes a bound.
 * @param {string} label What it shows, for those who do not see it.
 */
export function bars({ bounds, counts }, format, label) {
  const filled = counts.flatMap((count, at) => (count > 0 ? [at] : []));
  const end = Math.min(counts.length, Math.max(filled.at(-1) + 1, FEWEST_BARS));
  const begin = Math.min(filled[0], Math.max(0, end - FEWEST_BARS));
  const shown = counts.slice(begin, end);
  const most = Math.max(...shown);
  const width = 240 / shown.length;
  const low = (at) => (at > 0 ? format(bounds[at - 1]) : "0");
  const high = (at) => (bounds[at] === Infinity ? "∞" : format(bounds[at]));
  const rects = shown.map((count, at) => {
    const height = (56 * count) / most;
    const bar = { x: at * width, y: 60 - height, width: Math.max(1, width - 2), height };
    const title = `${low(begin + at)} to ${high(begin + at)}: ${count}`;
    return svg("rect", bar, svg("title", {}, title));
  });
  const frame = { viewBox: "0 0 240 60", role: "img", "aria-label": label, class: "bars" };
  const axis = [h("span", {}, low(begin)), h("span", {}, high(end - 1))];
  return h("div", {}, svg("svg", frame, ...rects), h("div", { class: "axis" }, ...axis));
}

/**
 * The latest values as a line over zero.
 *
 * @param {number[]} values
 * @param {number} room How many values the width has room for.
 * @param {string} label
 */
export function line(values, room, label) {
  const most = Math.max(1e-9, ...values);
  const left = room - values.length; // the latest is at the right
  const point = (value, at) => `${(240 * (left + at)) / (room - 1)},${38 - (36 * value) / most}`;
  const points = values.map(point).join(" ");
  return svg(
    "svg",
    { viewBox: "0 0 240 40", role: "img", "aria-label": label, class: "line" },
    svg("polyline", { points, "vector-effect": "non-scaling-stroke" }),
  );
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}
