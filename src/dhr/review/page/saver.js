// Saves every step at once: one request at a time, the newest content of a photograph wins. What the server does not
// take stays here, and is sent again when it answers.
import * as api from "./api.js";

const AGAIN = 1500; // milliseconds until the next try
const WITH_MASK = ["accepted", "mended"];
const equal = (one, other) => one.length === other.length && one.every((value, i) => value === other[i]);

export class Saver {
  #waiting = new Map(); // id -> drawing
  #refused = new Set(); // drawings that the server does not take as they are
  #working = false;

  /** `tell` hears: saved(drawing, answer), status(), conflict(drawing), failed(error, drawing). */
  constructor(tell) {
    this.tell = tell;
    this.trouble = null; // null, or the error that keeps saves back
  }

  get busy() { return this.#waiting.size > 0; }
  get whole() { return !this.busy && !this.#refused.size; } // whether the server has everything

  add(drawing) {
    this.#refused.delete(drawing);
    if (!drawing.conflict) this.#waiting.set(drawing.id, drawing);
    this.tell.status();
    this.#work();
  }

  /** Tries at once what is waiting. */
  again() {
    clearTimeout(this.timer);
    this.#work();
  }

  async #work() {
    if (this.#working) return;
    this.#working = true;
    clearTimeout(this.timer);
    while (this.#waiting.size) {
      const [drawing] = this.#waiting.values();
      try {
        await this.#save(drawing);
        this.trouble = null;
        if (drawing.clean || drawing.conflict) this.#waiting.delete(drawing.id);
      } catch (error) {
        if (!this.#keep(error, drawing)) break;
      }
    }
    this.#working = false;
    this.tell.status();
  }

  /** Decides after an error whether to go on with the next photograph. */
  #keep(error, drawing) {
    const isFinal = error instanceof api.Refused && error.status < 500 && error.status !== 403;
    if (isFinal) {
      this.#waiting.delete(drawing.id); // the next step is a new try
      this.#refused.add(drawing);
      this.trouble = null;
      this.tell.failed(error, drawing);
      return true;
    }
    if (!(error instanceof api.Refused || error instanceof api.Lost)) throw error;
    this.trouble = error;
    this.timer = setTimeout(() => this.#work(), AGAIN);
    return false;
  }

  async #save(drawing) {
    const { version } = drawing, { state, tags } = drawing;
    const mask = WITH_MASK.includes(state) ? drawing.content.slice() : null;
    const decision = { state, revision: drawing.revision, tags };
    const earlier = drawing.lost;
    drawing.lost = { state, tags, mask };
    this.tell.status();
    try {
      const answer = mask ? await api.save(drawing.id, mask, decision) : await api.decide(drawing.id, decision);
      drawing.lost = null;
      this.#done(drawing, version, answer);
    } catch (error) {
      if (!(error instanceof api.Refused)) throw error; // lost: the server may have it, or not
      drawing.lost = earlier;
      if (error.status !== 409 || error.revision === undefined) throw error;
      await this.#changed(drawing, version, { state, tags, mask }, error.revision);
    }
  }

  /** After a 409: takes the revision if the server has what this page sent; else a person has to choose. */
  async #changed(drawing, version, mine, revision) {
    const theirs = await state(drawing.id);
    const has = (content) => content && content.state === theirs.info.state && equal(content.tags, theirs.info.tags)
      && (!content.mask || equal(content.mask, theirs.mask));
    if (has(drawing.lost) || has(mine)) {
      drawing.revision = theirs.info.revision;
      if (has(mine)) this.#done(drawing, version, { ...theirs.info, counts: null });
      drawing.lost = null;
      return;
    }
    drawing.conflict = { ...theirs, revision };
    this.tell.conflict(drawing);
  }

  #done(drawing, version, answer) {
    drawing.revision = answer.revision;
    drawing.saved = version;
    this.tell.saved(drawing, answer);
  }
}

/** What the server has of a photograph. */
async function state(id) {
  const [info, mask] = await Promise.all([api.photograph(id), api.mask(id)]);
  return { info, mask: mask.data };
}
