// The desk: the open photograph, the present tool and class, and all that can be done with them.
import * as api from "./api.js";
import { Computed } from "./computed.js";
import { VOID } from "./drawing.js";
import { Photographs, Unshown } from "./photographs.js";
import { Saver } from "./saver.js";
import { cross, giveRegion, named, toolsOf } from "./tools.js";
import { View } from "./view.js";

const idle = window.requestIdleCallback ?? setTimeout;
const AHEAD = 2; // photographs of the queue that are loaded before they are asked for

const TOO_LARGE = 413;
const reason = (error) => (error.status === TOO_LARGE ? "it has another size now; load this page again" : error.message);

export class Desk {
  drawing = null;
  value = null; // the class that tools give
  size = 0; // width of the brush, pixels of the photograph; 0: chosen with the first one
  cursor = null; // a point of the photograph
  unshown = null; // the photograph in place of `drawing`, if its mask cannot be shown
  opening = null; // id of the photograph that is being loaded

  /** `page` hears: refresh, say, warn, settled, menu, opened, empty, status, counted, conflicts, pointed, pending, chosen, extra. */
  constructor(session, page, queue, [canvas, marks]) {
    Object.assign(this, { session, page, queue });
    this.view = new View(canvas, marks, session);
    this.view.marks = (context, surface) => this.#marks(context, surface);
    this.photographs = new Photographs();
    this.saver = new Saver({
      saved: (drawing, answer) => this.#saved(drawing, answer),
      status: () => page.status(),
      conflict: (drawing) => page.conflicts(drawing),
      failed: (error, drawing) => page.warn(`${drawing.name} is not saved: ${reason(error)}.`, drawing),
    });
    this.computed = new Computed(this);
    this.tools = toolsOf(this);
    this.tool = this.tools.brush;
  }

  say(text) { this.page.say(text); }

  /** The photograph that can be decided. */
  get subject() { return this.drawing ?? this.unshown; }

  /** Whether there is a mask to work with; if not, there is a word about it. */
  hasPhotograph() {
    if (!this.drawing) this.say(this.unshown ? "The mask of this photograph cannot be shown or changed." : "Open a photograph first.");
    return this.drawing !== null;
  }

  /** Whether a decision is possible. */
  canDecide(state) {
    const { drawing, unshown } = this;
    return Boolean(drawing || (unshown && state !== "accepted" && (state === "undecided" || !unshown.damaged)));
  }

  /** Draws what is new, and the marks of the tool. */
  touch() {
    this.view.touch();
    this.page.pending(this.tool.pending);
  }

  name(value = this.value) { return named(this.session, value); }

  /** Whether two points of the photograph are at most so many pixels of the page apart. */
  nearby([x0, y0], [x1, y1], most) {
    const { camera, ratio } = this.view.surface;
    return (Math.hypot(x1 - x0, y1 - y0) * camera.scale) / ratio <= most;
  }

  #marks(context, surface) {
    this.tool.marks(context, surface);
    if (this.pointer?.keyed && this.cursor) cross(context, surface, this.cursor);
  }

  /** Moves the cursor; null: it left the photograph. */
  point(to) {
    this.cursor = to;
    this.page.pointed(to);
    this.touch();
  }

  // ---- photographs

  /** Opens a photograph. What was drawn on the one before is saved already. */
  async open(id) {
    if (this.drawing?.id === id && this.opening === null) return this.queue.mark(id);
    this.pointer.cancel();
    this.opening = id;
    this.page.status();
    try {
      const drawing = await this.photographs.get(id);
      if (this.opening !== id) return;
      this.#show(drawing);
      this.queue.mark(id);
      this.#check(drawing);
      this.#expect();
    } catch (error) {
      if (this.opening !== id) return;
      this.#show(null, error instanceof Unshown ? error.drawing : null);
      this.page.empty(error instanceof api.Lost ? `The server does not answer. ${this.page.remedy}`
        : `This photograph cannot be shown: ${error.message}. ${error.advice ?? "Next (J) goes on."}`);
      this.queue.mark(id);
    }
  }

  #show(drawing, unshown = null) {
    this.opening = null;
    this.drawing = drawing;
    this.unshown = unshown;
    this.cursor = null;
    if (drawing && !this.#usable(this.value)) this.value = this.#first(drawing);
    if (drawing) this.size ||= Math.max(Math.round(Math.max(drawing.width, drawing.height) / 40), 2);
    this.view.show(drawing);
    this.page.opened();
  }

  /** The class to begin with: one that vanished from the mask, else the first tag. */
  #first({ vanished, tags }) {
    return tags.find((id) => vanished.includes(this.name(id))) ?? tags[0] ?? this.choices()[0].value;
  }

  #usable(value) { return this.choices().some((choice) => choice.value === value); }

  /** Loads the photograph again if another window changed it and nothing was drawn here. */
  async #check(drawing) {
    if (!drawing.clean) return;
    const { revision } = drawing, info = await api.photograph(drawing.id).catch(() => null); // the next save tells
    if (!info || info.revision === drawing.revision || revision !== drawing.revision || !drawing.clean) return;
    this.photographs.forget(drawing.id);
    this.queue.update(drawing.id, { state: info.state, revision: info.revision });
    if (this.drawing !== drawing) return;
    this.drawing = null;
    await this.open(drawing.id);
    this.say("This photograph was changed in another window. Its present mask is shown.");
  }

  check() {
    if (this.drawing) this.#check(this.drawing);
  }

  async #expect() {
    const { index } = this.queue;
    for (let i = 1; i <= AHEAD; i++) {
      const entry = await this.queue.at(index + i).catch(() => null); // `go` tells
      if (this.queue.index !== index || !entry) return;
      this.photographs.expect(entry.id, (drawing) => idle(() => {
        this.view.ready(drawing);
        drawing.counts();
      }));
    }
  }

  /** Goes on in the list; behind its end there is a word about it. */
  async go(step) {
    try {
      const { index } = this.queue, entry = await this.queue.at(index < 0 ? 0 : index + step);
      if (entry) await this.open(entry.id);
      else this.say(step > 0 ? "That was the last photograph of this list. Choose another list on the left." : "This is the first photograph.");
    } catch (error) {
      this.page.warn(`The list cannot be read: ${error.message}`);
    }
  }

  // ---- steps

  /** Ends a step: the mask becomes mended, gets the tags of all its classes, and is saved. */
  keep(change = {}, drawing = this.drawing) {
    if (!drawing) return false;
    const counts = drawing.counts(), tags = [...(change.tags ?? drawing.tags)];
    for (const { id } of this.session.classes) {
      const isTag = !(this.session.background && id === 0);
      if (isTag && counts[id] && !tags.includes(id)) tags.push(id);
    }
    tags.sort((a, b) => a - b);
    const before = drawing.state;
    const kept = drawing.keep({ state: "mended", ...change, tags });
    if (kept) this.#changed(drawing);
    if (drawing === this.drawing && drawing.state !== before) this.say(`${drawing.name}: ${drawing.state}.`);
    return kept;
  }

  #changed(drawing = this.drawing) {
    if (drawing === this.drawing) this.computed.prepare();
    this.saver.add(drawing);
    this.touch();
    this.page.refresh();
  }

  abandon() {
    this.drawing?.abandon();
    this.touch();
  }

  undo(back = true) {
    const { drawing } = this;
    if (!this.hasPhotograph()) return;
    this.pointer.cancel();
    if (!drawing[back ? "undo" : "redo"]()) return this.say(back ? "There is nothing to undo." : "There is nothing to redo.");
    this.say(back ? "Taken back." : "Done again.");
    this.#changed();
  }

  #saved(drawing, { state, revision, counts }) {
    this.queue.update(drawing.id, { state, revision, tags: drawing.tags });
    if (counts) this.page.counted(counts);
    if (drawing === this.unshown && drawing.damaged) this.open(drawing.id); // it can be shown now
    this.page.settled(drawing);
    this.page.status();
  }

  /** Decides on the photograph, and goes on. "accepted" keeps a mask that a person changed as mended. */
  async decide(state) {
    const drawing = this.subject;
    if (this.opening !== null || (!this.canDecide(state) && !this.hasPhotograph())) return;
    this.pointer.cancel();
    const isDecided = drawing.state !== "undecided" && drawing.state !== "skipped";
    if (state === "skipped" && isDecided) this.say(`It stays ${drawing.state}.`);
    else {
      const isMended = state === "accepted" && drawing.distance(drawing.machine) > 0;
      const kept = isMended ? "mended" : state;
      if (drawing.keep({ state: kept })) this.#changed(drawing);
      this.say(`${drawing.name}: ${kept}.`);
    }
    await this.go(1);
  }

  /** Takes the decision back: the machine's mask, the tags of the data set, undecided. */
  withdraw() {
    const drawing = this.subject;
    if (!this.canDecide("undecided") && !this.hasPhotograph()) return;
    this.pointer.cancel();
    if (drawing.state === "undecided") return this.say("This is the machine's mask, and nothing is decided.");
    if (drawing === this.drawing) drawing.replace(drawing.machine, { forget: true });
    if (drawing.keep({ state: "undecided", tags: drawing.given })) this.#changed(drawing);
    this.say("The machine's mask is back, and nothing is decided.");
  }

  /** Ends a conflict. Theirs comes as a step, so that undo brings mine back. */
  settle(drawing, takeTheirs) {
    const { info, mask, revision } = drawing.conflict;
    drawing.conflict = null;
    drawing.revision = takeTheirs ? info.revision : revision;
    if (takeTheirs) {
      drawing.replace(mask, { forget: true });
      drawing.keep({ state: info.state, tags: info.tags });
      drawing.saved = drawing.version;
    } else this.saver.add(drawing);
    this.queue.update(drawing.id, { state: drawing.state, revision: drawing.revision });
    this.touch();
    this.page.refresh();
  }

  // ---- classes

  /** What can be painted: the background, the tags in order, void. */
  choices() {
    const { background, classes, void: empty } = this.session, tags = this.drawing?.tags ?? [];
    const of = (id, key) => ({ value: id, key, ...classes.find((one) => one.id === id) });
    return [
      ...(background ? [of(0, "0")] : []),
      ...tags.map((id, i) => of(id, i < 9 ? String(i + 1) : "")),
      { value: VOID, key: "v", name: "void", colour: empty.colour },
    ];
  }

  choose(value) {
    this.value = value;
    this.say(`Class ${this.name(value)}.`);
    this.page.refresh();
    this.page.chosen();
    this.touch();
  }

  addClass(id) {
    const { drawing } = this;
    if (!drawing.tags.includes(id)) this.keep({ tags: [...drawing.tags, id] });
    this.choose(id);
  }

  /** Removes a class of the photograph. Its pixels become void; "refine again" fills them. */
  removeClass(id) {
    const { drawing } = this;
    if (!this.hasPhotograph()) return;
    if (!drawing.tags.includes(id)) return this.say(`${this.name(id)} is not a class of this photograph.`);
    if (drawing.tags.length === 1 && !this.session.background) return this.say("A photograph needs a class. Add the right one first, or reject it (X).");
    const ids = drawing.ids.map((value) => (value === id ? VOID : value));
    drawing.free(id);
    drawing.replace(ids);
    this.keep({ tags: drawing.tags.filter((tag) => tag !== id) });
    if (!this.#usable(this.value)) this.value = this.choices()[0].value;
    this.say(`${this.name(id)} is removed; its pixels are void now.${this.session.tools.refine ? " R fills them." : ""}`);
    this.page.refresh();
  }

  giveRegion(point, value) {
    if (giveRegion(this.drawing, point, value)) this.keep();
  }
}
