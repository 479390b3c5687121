/** Server-sent events out of a response's body. */

/**
 * @typedef {Object} ServerEvent
 * @property {"data" | "comment"} kind
 * @property {string} text
 */

/**
 * Reads events as they come, wherever the network cut them.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* serverEvents(body) {
  let data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield { kind: "data", text: data.join("\n") };
      data = [];
    } else if (line.startsWith(":")) {
      yield { kind: "comment", text: line.slice(1).trim() };
    } else if (line.startsWith("data:")) {
      data.push(line.slice(5).replace(/^ /, ""));
    }
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop();
      yield* parts;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
