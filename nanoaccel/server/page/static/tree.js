/** A conversation is a tree: an edit or another answer is one more branch, and nothing is lost. */

/**
 * @typedef {Object} Message
 * @property {string} id
 * @property {string | null} parent Id of the message before it; null for a first one.
 * @property {"user" | "assistant" | "tool"} role
 * @property {string} content
 * @property {string} [reasoning]
 * @property {{id: string, name: string, arguments: string}[]} [toolCalls]
 * @property {string} [toolCallId] On a tool's result: the call that it answers.
 * @property {string} [model]
 * @property {string} [finish] Why the answer ended.
 * @property {{message: string, status: number, retryAfter: number | null}} [error]
 * @property {object} [figures] Speed and usage, see figures.js.
 *
 * @typedef {Object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} created Milliseconds since 1970.
 * @property {number} updated
 * @property {string | null} leaf Last message of the branch that is shown.
 * @property {Message[]} messages Parents before children.
 * @property {object} settings See settings.js.
 */

/** @returns {Conversation} */
export function newConversation(settings) {
  const now = Date.now();
  return {
    id: newId(),
    title: "",
    created: now,
    updated: now,
    leaf: null,
    messages: [],
    settings,
  };
}

/**
 * Adds a message behind `parent` and shows it.
 *
 * @param {Conversation} conversation
 * @param {string | null} parent
 * @param {Partial<Message>} message
 * @returns {Message}
 */
export function append(conversation, parent, message) {
  const added = { ...message, id: newId(), parent };
  conversation.messages.push(added);
  conversation.leaf = added.id;
  conversation.updated = Date.now();
  if (!conversation.title && added.role === "user") conversation.title = titleOf(added.content);
  return added;
}

/** Messages from the first one to `leaf`. */
export function pathTo(conversation, leaf = conversation.leaf) {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const path = [];
  for (let at = byId.get(leaf); at; at = byId.get(at.parent)) path.push(at);
  return path.reverse();
}

/** All messages in the place of this one, itself included, oldest first. */
export function siblings(conversation, message) {
  return conversation.messages.filter((other) => other.parent === message.parent);
}

/** Shows the branch of a message, down to its latest end. */
export function show(conversation, message) {
  const latestChild = new Map(conversation.messages.map((child) => [child.parent, child.id]));
  let leaf = message.id;
  while (latestChild.has(leaf)) leaf = latestChild.get(leaf);
  conversation.leaf = leaf;
}

/** Removes a message that nothing follows. */
export function removeLeaf(conversation, message) {
  conversation.messages = conversation.messages.filter((other) => other.id !== message.id);
  if (conversation.leaf === message.id) conversation.leaf = message.parent;
}

/** An id that no other conversation or message has. */
export function newId() {
  // randomUUID is missing where the page came over plain HTTP from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function titleOf(text) {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
