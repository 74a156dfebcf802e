// One photograph in the editor: its id map, what a person drew on it, its tags and state, and the way back.
import { copyBox, difference, joined, replay, whole } from "./runs.js";

export const VOID = 255; // a pixel without a class
export const FREE = 254; // in the map of what is held: nobody drew here
export const MACHINE = -1; // in place of a class: back to the machine's mask

const same = (one, other) => one.length === other.length && one.every((value, i) => value === other[i]);

export class Drawing {
  #kept = null; // the maps after the last whole step
  #box = null; // pixels touched since
  #counted = null; // the numbers of pixels at a version
  #past = [];
  #future = [];

  constructor(info, image, ids, machine) {
    Object.assign(this, info); // id, name, width, height, given, tags, state, revision, vanished, rank, reason, layers, cams
    this.image = image;
    this.ids = ids;
    this.machine = machine; // the same array as `ids` until something is drawn
    this.held = null;
    this.dirty = null; // box of the pixels that the screen does not show yet
    this.overlay = this.painted = null; // the mask as a picture, and the colours it has
    this.reach = 1; // the width of its outlines
    this.version = this.saved = 0; // number of the last step, and of the last one that the server has
    this.lost = null; // the last content that was sent and not answered
    this.conflict = null;
    this.extras = new Map(); // layers, CAMs, superpixels; loaded when they are looked at
  }

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }
  get clean() { return this.version === this.saved && !this.conflict; }
  get box() { return whole(this.width, this.height); }

  /** The id map after the last whole step; a stroke that is being drawn is not in it. */
  get content() { return this.#kept?.ids ?? this.ids; }

  /** Makes the maps that only a drawing needs. What a person saved before is held. */
  #begin() {
    if (this.#kept) return;
    if (this.ids === this.machine) this.ids = this.machine.slice();
    this.held = new Uint8Array(this.ids.length).fill(FREE);
    this.ids.forEach((id, at) => { if (id !== this.machine[at]) this.held[at] = id; });
    this.#kept = { ids: this.ids.slice(), held: this.held.slice() };
  }

  /** Gives the pixels of a span to a class, to VOID, or back to the machine's mask. */
  paint(y, left, right, value) {
    [left, right] = [Math.max(left, 0), Math.min(right, this.width)];
    if (y < 0 || y >= this.height || left >= right) return;
    this.#begin();
    const start = y * this.width + left, end = y * this.width + right;
    if (value === MACHINE) this.ids.set(this.machine.subarray(start, end), start);
    else this.ids.fill(value, start, end);
    this.held.fill(value === MACHINE ? FREE : value, start, end);
    this.#touch({ left, top: y, right, bottom: y + 1 });
  }

  #touch(box) {
    this.#box = joined(this.#box, box);
    this.dirty = joined(this.dirty, box);
  }

  /** Takes a whole mask. What was drawn stays; `forget` ends that. */
  replace(ids, { forget = false } = {}) {
    this.#begin();
    if (forget) this.held.fill(FREE);
    this.ids.set(ids);
    this.held.forEach((id, at) => { if (id !== FREE) this.ids[at] = id; });
    this.#touch(this.box);
  }

  /** Lets go of what was drawn of a class. */
  free(value) {
    this.#begin();
    this.held.forEach((id, at) => { if (id === value) this.held[at] = FREE; });
    this.#touch(this.box);
  }

  /** Ends a step, which undo takes back as a whole. Returns whether anything changed. */
  keep(change = {}) {
    const step = { tags: [this.tags, change.tags ?? this.tags], state: [this.state, change.state ?? this.state] };
    if (this.#box) {
      step.box = this.#box;
      step.ids = difference(this.#kept.ids, this.ids, this.width, step.box);
      step.held = difference(this.#kept.held, this.held, this.width, step.box);
      copyBox(this.ids, this.#kept.ids, this.width, step.box);
      copyBox(this.held, this.#kept.held, this.width, step.box);
      this.#box = null;
    }
    const changed = step.ids?.length || step.held?.length || !same(...step.tags) || step.state[0] !== step.state[1];
    if (!changed) return false;
    [this.tags, this.state] = [step.tags[1], step.state[1]];
    this.#past.push(step);
    this.#future = [];
    this.version++;
    return true;
  }

  /** Takes back what was painted since the last whole step. */
  abandon() {
    if (!this.#box) return;
    copyBox(this.#kept.ids, this.ids, this.width, this.#box);
    copyBox(this.#kept.held, this.held, this.width, this.#box);
    this.dirty = joined(this.dirty, this.#box);
    this.#box = null;
  }

  undo() { return this.#turn(this.#past, this.#future, true); }
  redo() { return this.#turn(this.#future, this.#past, false); }

  /** Goes one step back or forward. Returns whether there was one. */
  #turn(from, to, back) {
    this.abandon();
    const step = from.pop();
    if (!step) return false;
    to.push(step);
    if (step.box) {
      for (const map of [this.ids, this.#kept.ids]) replay(map, step.ids, back);
      for (const map of [this.held, this.#kept.held]) replay(map, step.held, back);
      this.dirty = joined(this.dirty, step.box);
    }
    [this.tags, this.state] = [step.tags[back ? 0 : 1], step.state[back ? 0 : 1]];
    this.version++;
    return true;
  }

  /** The id at a point; null outside. */
  at([x, y]) {
    const isInside = x >= 0 && y >= 0 && x < this.width && y < this.height;
    return isInside ? this.ids[Math.floor(y) * this.width + Math.floor(x)] : null;
  }

  /** Number of pixels of each id. */
  counts() {
    if (this.#counted?.version === this.version && !this.#box) return this.#counted.found;
    const found = new Uint32Array(256), { ids } = this;
    for (let at = 0; at < ids.length; at++) found[ids[at]]++;
    if (!this.#box) this.#counted = { version: this.version, found };
    return found;
  }

  /** How many pixels differ from another map of the same size. */
  distance(ids) {
    let found = 0;
    for (let at = 0; at < ids.length; at++) found += this.content[at] !== ids[at];
    return found;
  }
}
