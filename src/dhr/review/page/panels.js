// What stands around the picture: classes, facts, states, saves, conflicts, the menu of a region.
import { VOID } from "./drawing.js";
import { $, el, icon, number, swatch } from "./elements.js";

const LONG = 14; // characters of a name that leaves no space beside it
const conflicted = new Set(); // photographs whose conflict waits for a choice

const share = (part, all) => (part === 0 ? "not in the mask" : part / all < 0.001 ? "under 0.1 %" : `${((100 * part) / all).toFixed(1)} %`);

const colourOf = ({ value, colour }) => swatch(value === VOID ? null : colour);

/** Shows whether a button has a use now. A button that is disabled would lose the focus. */
const setAble = (button, able) => button.setAttribute("aria-disabled", String(!able));

/** The classes of the photograph: choose one to paint with, or remove it. */
export function showClasses(desk) {
  const { drawing } = desk, list = $("#classes"), { value: focused, remove } = document.activeElement?.dataset ?? {};
  const counts = drawing?.counts(), all = drawing ? drawing.width * drawing.height : 1;
  list.replaceChildren(...(drawing ? desk.choices() : []).map((choice) => {
    const isTag = drawing.tags.includes(choice.value), part = counts[choice.value];
    const pick = el("button", { type: "button", className: choice.name.length > LONG ? "pick long" : "pick", "data-value": choice.value, "aria-pressed": choice.value === desk.value },
      colourOf(choice), el("span", { className: "name", title: choice.name }, choice.name),
      el("span", { className: part || !isTag ? "share" : "share gone" }, isTag || part ? share(part, all) : ""),
      el("kbd", {}, choice.key.toUpperCase()));
    const item = el("li", {}, pick);
    if (isTag) {
      const label = `Remove ${choice.name} from this photograph`;
      item.append(el("button", { type: "button", className: "remove", "data-remove": choice.value, "aria-label": label, title: label }, icon("close")));
    }
    return item;
  }));
  if (focused !== undefined) list.querySelector(`[data-value="${focused}"]`)?.focus();
  if (remove !== undefined) (list.querySelector(`[data-remove="${remove}"]`) ?? $("#add-class")).focus();
}

/** Brings the chosen class into view. */
export function revealClass() {
  $("#classes [aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
}

/** The name of the class under the mouse: colours alone do not tell alike classes apart. */
export function showHere(desk, point) {
  const id = point && desk.drawing ? desk.drawing.at(point) : null, place = $("#here");
  if (place.dataset.id === String(id)) return;
  place.dataset.id = id;
  const colour = desk.session.classes.find((one) => one.id === id)?.colour;
  place.replaceChildren(...(id === null ? [] : [colourOf({ value: id, colour }), desk.name(id)]));
}

export function showFacts(desk) {
  const { drawing, subject } = desk;
  $("#name").textContent = subject?.name ?? "";
  $("#facts").hidden = !$("#name").textContent;
  $("#paint").hidden = !drawing;
  $("#size-of-photograph").textContent = drawing ? `${number(drawing.width)} × ${number(drawing.height)} pixels` : "";
  $("#why").textContent = subject?.reason ?? "";
  const badge = $("#state"), state = subject?.state ?? "undecided";
  badge.className = `state ${state}`;
  badge.replaceChildren(icon(state), state);
  $("#accept-text").textContent = state === "mended" ? "Mended, next" : "Accept, next";
  for (const [selector, possible] of [["undo", drawing?.canUndo], ["redo", drawing?.canRedo]]) {
    setAble($(`[data-command=${selector}]`), possible);
  }
  for (const button of document.querySelectorAll("[data-state]")) setAble(button, desk.canDecide(button.dataset.state));
  for (const button of document.querySelectorAll("[data-command=refine]")) setAble(button, drawing && !desk.computed.refining);
  setAble($("[data-command=withdraw]"), desk.canDecide("undecided") && state !== "undecided");
}

export function showTool(desk) {
  for (const [name, tool] of Object.entries(desk.tools)) {
    $(`[data-command=${name}]`)?.setAttribute("aria-pressed", String(tool === desk.tool));
  }
  $("#size").value = desk.size;
  $("#size-value").textContent = desk.size ? `${desk.size} px` : "";
  $("#opacity").value = Math.round(100 * desk.view.opacity);
}

export function showProgress(done, all, text) {
  $("#progress").max = Math.max(all, 1);
  $("#progress").value = done;
  $("#progress-text").textContent = text;
}

/** How far the review has come. */
export function showCounts(counts) {
  const decided = counts.accepted + counts.mended + counts.rejected;
  showProgress(decided, counts.all, `${number(decided)} of ${number(counts.all)} decided, ${number(counts.all - decided)} left`);
  for (const option of $("#filter-state").options) {
    const count = counts[option.value || "all"];
    option.textContent = `${option.dataset.text} (${number(count)})`;
  }
}

/** Whether everything is saved. */
export function showSaves(desk) {
  const { saver, opening, drawing } = desk, conflict = conflicted.size > 0;
  const kind = saver.trouble ? "lost" : conflict ? "conflict" : saver.busy ? "saving" : saver.whole ? "saved" : "lost";
  const text = { lost: "Not saved", conflict: "Not saved: choose below", saving: "Saving…", saved: "Saved" }[kind];
  const place = $("#saves");
  if (place.dataset.kind !== kind) {
    place.dataset.kind = kind;
    place.replaceChildren(icon(kind), el("span", {}, text));
  }
  $("#stage").setAttribute("aria-busy", String(opening !== null));
  $("#stage").classList.toggle("loading", opening !== null && opening !== drawing?.id);
}

/** Asks which of two versions stays; nothing is saved before. */
export function showConflict(desk, drawing) {
  conflicted.add(drawing);
  const { info, mask } = drawing.conflict, pixels = drawing.distance(mask);
  const theirs = `There it is ${info.state}`, mine = `here it is ${drawing.state}`;
  const difference = pixels ? `${number(pixels)} pixels differ` : "the masks are the same";
  const box = el("div", { className: "banner conflict", role: "alert" },
    el("p", {}, el("b", {}, drawing.name), " was changed in another window or by another program. ",
      `${theirs}, ${mine}; ${difference}. Which one stays?`));
  const choose = (takeTheirs) => {
    conflicted.delete(drawing);
    box.remove();
    desk.settle(drawing, takeTheirs);
    showSaves(desk);
    desk.say(takeTheirs ? "The other version stays. Undo brings yours back." : "Your version stays.");
    $("#canvas").focus();
  };
  const button = (text, takeTheirs) => {
    const found = el("button", { type: "button" }, text);
    found.addEventListener("click", () => choose(takeTheirs));
    return found;
  };
  box.append(el("div", { className: "choices" }, button("Take theirs", true), button("Keep mine", false)));
  $("#banners").append(box);
}

/** The menu that gives the region under the pointer to a class. */
export function regionMenu(desk, point, x, y) {
  const menu = $("#region");
  menu.replaceChildren(el("p", { "aria-hidden": "true" }, "Give this region to"), ...desk.choices().map((choice) => {
    const item = el("button", { type: "button", role: "menuitem", "data-key": choice.key },
      colourOf(choice), el("span", { className: "name" }, choice.name), el("kbd", { "aria-hidden": "true" }, choice.key.toUpperCase()));
    item.addEventListener("click", () => {
      menu.hidePopover();
      desk.giveRegion(point, choice.value);
      desk.say(`The region is ${choice.name} now.`);
    });
    return item;
  }));
  menu.showPopover();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(Math.min(x, window.innerWidth - width - 8), 8)}px`;
  menu.style.top = `${Math.max(Math.min(y, window.innerHeight - height - 8), 8)}px`;
  menu.querySelector("button").focus();
}

/** Keys within the menu: arrows, the ends, and those of the classes. */
export function menuKey(event) {
  const items = [...event.currentTarget.querySelectorAll("button")], at = items.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  const named = items.find(({ dataset }) => dataset.key && dataset.key === event.key);
  if (next !== undefined) items.at(next % items.length).focus();
  else if (named) named.click();
  else if (event.key === "Tab") event.currentTarget.hidePopover();
  else if (event.key === "Enter" || event.key === " " || event.key === "Escape") return;
  event.preventDefault();
  event.stopPropagation();
}
