/** Conversations in IndexedDB: they stay in this browser. */

const NAME = "nanoaccel";
const STORE = "conversations";
const tabs = new BroadcastChannel(NAME);
let opened = null;

/** All conversations, the latest first. */
export async function all() {
  const found = await run("readonly", (store) => store.getAll());
  return found.sort((one, other) => other.updated - one.updated);
}

/** The conversation of an id, or undefined. */
export function get(id) {
  return run("readonly", (store) => store.get(id));
}

/** Writes a conversation over what was there. */
export async function put(conversation) {
  await run("readwrite", (store) => store.put(conversation));
  tabs.postMessage(conversation.id);
}

/** Deletes the conversation of an id. */
export async function remove(id) {
  await run("readwrite", (store) => store.delete(id));
  tabs.postMessage(id);
}

/** Has a function called with the id of what another tab wrote or deleted. */
export function onOtherTab(changed) {
  tabs.addEventListener("message", (event) => changed(event.data));
}

/** Those conversations whose title or text has every word of a query. */
export async function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return (await all()).filter((conversation) => {
    const texts = conversation.messages.map((message) => message.content);
    const text = [conversation.title, ...texts].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

async function run(mode, work) {
  opened ??= open();
  const database = await opened;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.commit?.(); // without waiting for this page, which may be left at once
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
