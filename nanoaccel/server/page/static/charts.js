/** Small pictures in SVG. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * A histogram's buckets as bars, from the first with values to the last.
 *
 * @param {import("./metrics.js").Histogram} histogram
 * @param {(bound: number) => string} format Writes a bound.
 * @param {string} label What it shows, for those who do not see it.
 */
export function bars({ bounds, counts }, format, label) {
  const first = Math.max(
    0,
    counts.findIndex((count) => count > 0),
  );
  const last = Math.max(
    first,
    counts.findLastIndex((count) => count > 0),
  );
  const shown = counts.slice(first, last + 1);
  const most = Math.max(1, ...shown);
  const width = 240 / shown.length;
  const rects = shown.map((count, at) => {
    const height = (56 * count) / most;
    const bar = { x: at * width, y: 60 - height, width: Math.max(1, width - 2), height };
    const limit = bounds[first + at];
    const bucket =
      limit === Infinity ? `above ${format(bounds[first + at - 1])}` : `up to ${format(limit)}`;
    return svg("rect", bar, svg("title", {}, `${bucket}: ${count}`));
  });
  return svg(
    "svg",
    { viewBox: "0 0 240 60", role: "img", "aria-label": label, class: "bars" },
    ...rects,
  );
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
