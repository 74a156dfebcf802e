// Commands: what a key, a button and the help panel have in common.
import { el } from "./elements.js";

const TEXT = "input:not([type=range]):not([type=checkbox]), select, textarea";

/** Whether a key is a sign that some keyboards type with AltGr or Option, such as [. */
const isTyped = (event, known) => event.altKey && event.key.length === 1 && !/[\p{L}\p{N} ]/u.test(event.key) && known.has(event.key);

/** The name of a key as the tables have it, whatever the layout and the caps lock: "a", "7", "Shift+7", "Ctrl+z". */
function keyOf(event, known) {
  if (isTyped(event, known)) return event.key; // Windows reports AltGr as Ctrl and Alt
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1], digit = /^Digit(\d)$/.exec(event.code)?.[1];
  const isSign = known.has(event.key) && !/\d/.test(event.key); // some layouts have signs such as / on digits
  let { key } = event;
  if (digit && !isSign) key = event.shiftKey ? `Shift+${digit}` : digit;
  else if (letter && !/^[ -~]$/.test(key)) key = letter.toLowerCase();
  else if (key.length === 1) key = key.toLowerCase();
  if (event.shiftKey && letter && (event.ctrlKey || event.metaKey)) key = `Shift+${key}`;
  return event.ctrlKey || event.metaKey ? `Ctrl+${key}` : key;
}

export class Commands {
  /** `groups` is a list of [title, commands], a command { name, keys, label, run, shown }. */
  constructor(groups) {
    this.groups = groups;
    this.all = groups.flatMap(([, commands]) => commands);
    this.byKey = new Map(this.all.flatMap((command) => command.keys.map((key) => [key, command])));
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("click", (event) => {
      const name = event.target.closest?.("[data-command]")?.dataset.command;
      this.all.find((command) => command.name === name)?.run();
    });
    for (const button of document.querySelectorAll("[data-command]")) this.#describe(button);
  }

  #describe(button) {
    const { keys, label } = this.all.find(({ name }) => name === button.dataset.command);
    if (keys.length) {
      button.title = `${label} (${shown(keys[0])})`;
      button.setAttribute("aria-keyshortcuts", keys[0].replace("Ctrl", "Control"));
    } else button.title = label;
    button.querySelector("kbd")?.setAttribute("aria-hidden", "true");
    if (!button.textContent.trim()) button.setAttribute("aria-label", label);
  }

  #key(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.altKey && !isTyped(event, this.byKey)) return;
    const { target } = event, key = keyOf(event, this.byKey);
    if (target.matches(TEXT) && key !== "Escape") return;
    const presses = target.closest("button, a, summary, [role=menu]") && (key === "Enter" || key === " ");
    const slides = target.matches("input[type=range]") && /^(Arrow|Page|Home|End)/.test(key);
    const command = this.byKey.get(key);
    if (!command || presses || slides || command.run(event) === false) return;
    event.preventDefault();
  }

  /** The help panel's tables. */
  help() {
    return this.groups.map(([title, commands]) => el("section", {}, el("h3", {}, title), el("dl", {},
      ...commands.filter(({ keys, hidden }) => keys.length && !hidden).map(({ keys, label, keysShown }) => el("div", {},
        el("dt", {}, ...(keysShown ?? keys.map(shown)).flatMap((key, i) => (i ? [" ", el("kbd", {}, key)] : [el("kbd", {}, key)]))),
        el("dd", {}, label))))));
  }
}

/** A key as people read it on their keyboard. */
function shown(key) {
  const names = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
  const parts = key.length > 1 ? key.split("+").filter(Boolean) : [key];
  return parts.map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" ");
}
