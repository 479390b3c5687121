/** Starts the page: which view and which conversation the address names. */

import { models } from "./api.js";
import { running } from "./answering.js";
import { Chat } from "./chat.js";
import { notice } from "./dialogs.js";
import { button, byId } from "./dom.js";
import { EngineView } from "./engine.js";
import { withKey } from "./key.js";
import { lastSettings, SettingsPanel } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import * as store from "./store.js";
import { startTheme } from "./theme.js";
import { newConversation } from "./tree.js";

const engine = new EngineView();
const chat = new Chat(newConversation(lastSettings()), () => conversationChanged());
const sidebar = new Sidebar(find, (id) => id === chat.conversation.id && location.assign("#/chat"));
const panel = new SettingsPanel(() => keep(chat.conversation));

/** A conversation: the object that is open or being written, or else what is kept. */
async function find(id) {
  if (id === chat.conversation.id) return chat.conversation;
  return running.get(id)?.conversation ?? store.get(id);
}

/** "#/chat", "#/chat/ID" or "#/engine". */
async function route() {
  const [, view, id] = location.hash.split("/");
  const inEngine = view === "engine";
  byId("chat").hidden = inEngine;
  byId("engine").hidden = !inEngine;
  document.body.classList.toggle("in-engine", inEngine);
  byId("tab-chat").setAttribute("aria-current", inEngine ? "false" : "page");
  byId("tab-engine").setAttribute("aria-current", inEngine ? "page" : "false");
  toggle("sidebar", "menu", false);
  if (inEngine) engine.start();
  else {
    engine.stop();
    await open(id);
  }
}

async function open(id) {
  if (id !== chat.conversation.id) {
    const kept = id && (await find(id));
    if (id && !kept) notice("This browser has no such conversation.");
    chat.open(kept || newConversation(lastSettings()));
  }
  panel.show(chat.conversation.settings);
  byId("tab-chat").href = id ? `#/chat/${id}` : "#/chat";
  await sidebar.refresh(chat.conversation.id);
  if (matchMedia("(hover: hover)").matches) byId("composer-text").focus();
}

/** A conversation gets its address with its first message. */
function conversationChanged() {
  const address = `#/chat/${chat.conversation.id}`;
  if (chat.conversation.messages.length && !location.hash.startsWith("#/engine")) {
    history.replaceState(null, "", address);
    byId("tab-chat").href = address;
  }
  sidebar.refresh(chat.conversation.id);
}

async function keep(conversation) {
  if (conversation.messages.length && !running.has(conversation.id)) await store.put(conversation);
}

/** What another tab wrote is shown here too, unless this one is writing it. */
async function changedElsewhere(id) {
  await sidebar.refresh();
  if (id !== chat.conversation.id || running.has(id)) return;
  const kept = await store.get(id);
  if (!kept) location.assign("#/chat");
  else {
    chat.open(kept);
    panel.show(kept.settings);
  }
}

async function loadModels() {
  try {
    panel.offer(await withKey(models));
  } catch (error) {
    const again = () => {
      notice("");
      loadModels();
    };
    notice(error.message, button("Try again", again));
  }
}

function toggle(part, opener, shown) {
  byId(opener).setAttribute("aria-expanded", String(shown));
  if (part === "settings") byId(part).hidden = !shown;
  else byId(part).classList.toggle("open", shown);
}

for (const [opener, part] of [
  ["menu", "sidebar"],
  ["settings-button", "settings"],
]) {
  byId(opener).addEventListener("click", () => {
    toggle(part, opener, byId(opener).getAttribute("aria-expanded") !== "true");
  });
}
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("composer-text").focus();
});
byId("sidebar").addEventListener("click", (event) => {
  if (event.target.closest("a")) toggle("sidebar", "menu", false);
});
store.onOtherTab(changedElsewhere);
window.addEventListener("hashchange", route);
startTheme();
chat.render();
panel.show(chat.conversation.settings);
route();
loadModels();
