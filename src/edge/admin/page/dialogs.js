// What the operator is asked and told.

import { $, put } from "./nodes.js";

/** The button that the open dialog belongs to. @type {HTMLElement | null} */
export let opener = null;

/**
 * Opens `dialog`, and gives what it ends with.
 * @param {HTMLDialogElement} dialog @param {HTMLElement} button @returns {Promise<string>}
 */
export function open(dialog, button) {
  opener = button;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((closed) => {
    dialog.onclose = () => {
      opener = null;
      closed(dialog.returnValue);
    };
  });
}

/** Whether the operator means it. @param {HTMLElement} button @param {string} title @param {string} text @param {string} yes */
export async function sure(button, title, text, yes) {
  put($("ask-title"), title);
  put($("ask-text"), text);
  put($("yes"), yes);
  return (await open($("ask"), button)) === "yes";
}

$("no").onclick = () => $("ask").close();
$("yes").onclick = () => $("ask").close("yes");

/** Says something to those who hear the page; a dialog that is open has a line of its own. @param {string} text */
export function say(text) {
  const line = $($("hooks").open ? "hooks-said" : "said");
  line.textContent = "";
  // The same words twice are heard twice.
  setTimeout(() => (line.textContent = text), 60);
}
