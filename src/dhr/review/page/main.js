// Starts the page: asks for the session, and joins desk, queue and panels.
import { Actions } from "./actions.js";
import * as api from "./api.js";
import { Commands } from "./commands.js";
import { Compare } from "./compare.js";
import { Desk } from "./desk.js";
import { $, el, number } from "./elements.js";
import { keymap } from "./keymap.js";
import { followRestarts } from "./moved.js";
import { Page } from "./page.js";
import { menuKey, showCounts, showProgress } from "./panels.js";
import { Pointer } from "./pointer.js";
import { Queue } from "./queue.js";
import { named } from "./tools.js";

const READING = 250; // milliseconds between two questions how far the server is

export let desk = null;

/** The list on the left and its filters. */
function makeQueue(session, page) {
  const queue = new Queue($("#list"), {
    source: api.queue,
    open: (entry) => {
      page.showList(false);
      desk.open(entry.id);
    },
    failed: (error) => page.warn(`The list cannot be read: ${error.message}`),
    changed: () => {
      const more = queue.total ? "" : ". Change the name or the filters to see others.";
      $("#found").textContent = queue.total === 1 ? "1 photograph" : `${number(queue.total)} photographs${more}`;
    },
    busy: () => desk.opening !== null,
    tags: (entry) => entry.tags.map((id) => named(session, id)).join(", "),
  });
  const filter = (values) => queue.reload(values).then(() => queue.mark(desk.subject?.id), queue.failed);
  const on = (selector, name) => $(selector).addEventListener("change", () => filter({ [name]: $(selector).value }));
  on("#filter-state", "state");
  on("#filter-class", "class");
  on("#order", "order");
  let timer = 0;
  $("#search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => filter({ search: $("#search").value.trim() }), 200);
  });
  $("#filters").addEventListener("submit", (event) => event.preventDefault());
  $("#filter-class").append(...session.classes.map(({ id, name }) => el("option", { value: id }, name)));
  return queue;
}

/** Sliders, lists and forms; buttons have commands. */
function listen(actions) {
  $("#size").addEventListener("input", () => actions.setSize(Number($("#size").value)));
  $("#opacity").addEventListener("input", () => actions.setOpacity($("#opacity").value / 100));
  $("#style").addEventListener("change", () => actions.style(Number($("#style").value)));
  $("#classes").addEventListener("click", (event) => {
    const { value, remove } = event.target.closest("button")?.dataset ?? {};
    if (value !== undefined) desk.choose(Number(value));
    if (remove !== undefined) desk.removeClass(Number(remove));
  });
  $("#add").addEventListener("submit", (event) => {
    event.preventDefault();
    actions.addClass($("#add-class").value);
  });
  $("nav").addEventListener("focusout", ({ relatedTarget: next }) => {
    if (next && !next.closest("nav, [data-command=list]")) desk.page.showList(false);
  });
  document.addEventListener("pointerdown", ({ target }) => { // beside an open list
    if (!target.closest("nav, main, [data-command=list]")) desk.page.showList(false);
  });
  $("main").addEventListener("click", ({ target }) => { if (target === $("main")) actions.toPicture(); }); // it is covered then
  $("#region").addEventListener("keydown", menuKey);
  $("#region").addEventListener("toggle", (event) => { if (event.newState === "closed") $("#canvas").focus(); });
  $("#canvas").addEventListener("blur", () => desk.pointer.letGo());
  document.addEventListener("keyup", (event) => { if (event.key === " ") desk.pointer.space = false; });
  window.addEventListener("blur", () => { desk.pointer.space = false; });
  window.addEventListener("focus", () => desk.check());
  window.addEventListener("beforeunload", (event) => { if (!desk.saver.whole) event.preventDefault(); });
}

function showSession(session) {
  const { tools, background, classes, run } = session;
  $("#run").textContent = run;
  $("#run").title = run;
  for (const [command, able] of [["refine", tools.refine], ["superpixels", tools.superpixels], ["click", tools.sam]]) {
    if (!able) $(`[data-command=${command}]`).remove();
  }
  const choices = classes.filter(({ id }) => !(background && id === 0));
  $("#names").append(...choices.map(({ name }) => el("option", { value: name })));
}

/** Waits until the server has read the records of all photographs, and shows how far it is. */
async function allRead(session, page) {
  for (let now = session; ; now = await api.session()) {
    if (now.ready) return showCounts(now.counts);
    const { done, total } = now.read;
    showProgress(done, total, `${number(done)} of ${number(total)} records read`);
    page.empty("The records of the photographs are being read. The most doubtful photograph comes first, so all have to be known.");
    await new Promise((resume) => { setTimeout(resume, READING); });
  }
}

/** Opens the photograph that the address names, else the first that is not decided. */
async function openFirst(session, queue, page) {
  const [, id] = /^#(\d+)$/.exec(location.hash) ?? [];
  await allRead(session, page);
  if (id !== undefined) desk.open(Number(id));
  await queue.reload();
  const entry = await queue.at(0);
  if (id !== undefined) queue.mark(Number(id));
  else if (entry) await desk.open(entry.id);
  else page.empty("Every photograph is decided. Choose another list on the left to look at them again.");
}

async function start() {
  const page = new Page();
  const broken = (error) => page.warn(`The page does not work as it should (${error?.message ?? error}). Load it again; what was saved is safe.`);
  window.addEventListener("error", ({ error }) => { if (error) broken(error); });
  window.addEventListener("unhandledrejection", ({ reason }) => broken(reason));
  try {
    const session = await api.session();
    const queue = makeQueue(session, page);
    desk = page.desk = new Desk(session, page, queue, [$("#canvas"), $("#marks")]);
    desk.pointer = new Pointer(desk, $("#canvas"));
    page.compare = new Compare(desk, { pane: $("#beside"), canvas: $("#beside-canvas"), select: $("#layer") });
    const actions = new Actions(desk, page, page.compare);
    showSession(session);
    $("#keys").append(...new Commands(keymap(desk, actions)).help());
    listen(actions);
    page.refresh();
    followRestarts(session, desk.saver);
    await openFirst(session, queue, page);
    page.counted((await api.session()).counts);
  } catch (error) {
    page.empty(`The review cannot begin: ${error.message}. Look at the terminal of dhr review, then load this page again.`);
    if (!(error instanceof api.Lost || error instanceof api.Refused)) throw error;
  }
}

start();
