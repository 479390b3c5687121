/** Markdown tables: where they are, and what their cells hold. */

const RULER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** Whether a table begins at a line: a head, and below it a ruler of as many cells. */
export function isTable(lines, at) {
  const ruler = lines[at + 1];
  if (!lines[at].includes("|") || !ruler?.includes("-") || !RULER.test(ruler)) return false;
  return cells(lines[at]).length === cells(ruler).length;
}

/** How many lines the table has: it ends before a line without a bar. */
export function tableLength(lines, at) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  return end - at;
}

/** The cells of the head and of each row, as Markdown. */
export function tableRows(lines) {
  return { head: cells(lines[0]), body: lines.slice(2).map(cells) };
}

/** A class for each column: "left", "center", "right", or null. */
export function columns(ruler) {
  return cells(ruler).map((cell) => {
    const ends = cell.endsWith(":");
    if (cell.startsWith(":")) return ends ? "center" : "left";
    return ends ? "right" : null;
  });
}

function cells(line) {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}
