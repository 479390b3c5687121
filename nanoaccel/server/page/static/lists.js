/** Markdown lists: where one ends, and what its items are. */

const MARKER = /^( *)([-*+]|(\d{1,9})[.)])(\s{1,4}|$)/;

/**
 * How many lines a list has that begins at a line.
 *
 * @param {string[]} lines
 * @param {number} at
 * @param {(line: number) => boolean} interrupts Whether another block begins at a line.
 */
export function listLength(lines, at, interrupts) {
  const first = MARKER.exec(lines[at]);
  const base = first[1].length;
  let end = at + 1;
  let last = end;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (!line.trim()) continue;
    if (indent(line) < base + 2) {
      if (interrupts(end)) break;
      const marker = MARKER.exec(line);
      if (marker ? ordered(marker) !== ordered(first) : last < end) break;
    }
    last = end + 1;
  }
  return last - at;
}

/**
 * The items of a list's lines, without their markers and their indent.
 *
 * @param {string[]} lines
 * @returns {{ordered: boolean, start: number, items: string[][]}}
 */
export function listItems(lines) {
  const first = MARKER.exec(lines[0]);
  const base = first[1].length;
  const items = [];
  let width = 0;
  for (const line of lines) {
    const marker = MARKER.exec(line);
    if (marker && marker[1].length < base + 2) {
      width = marker[0].length;
      items.push([line.slice(width)]);
    } else {
      items.at(-1).push(line.slice(Math.min(width, indent(line))));
    }
  }
  return { ordered: ordered(first), start: Number(first[3] ?? 1), items };
}

function ordered(marker) {
  return marker[3] !== undefined;
}

function indent(line) {
  return line.length - line.trimStart().length;
}
