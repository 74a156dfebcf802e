// Photographs that are open or were, and the next ones, which are loaded before they are asked for.
import * as api from "./api.js";
import { Drawing } from "./drawing.js";

const PIXELS = 60_000_000; // of all photographs that are kept; each takes about 20 bytes per pixel
const FEWEST = 4;
const UNTOUCHED = ["undecided", "skipped"]; // their mask is the machine's

/** A photograph whose mask cannot be shown; it can still be decided, as far as `drawing` tells. */
export class Unshown extends Error {
  constructor(info) {
    super(info.damaged || info.problem);
    this.advice = info.damaged ? "Back to the machine's mask (U) puts this record aside."
      : "You can reject it (X), skip it (S), or go on (J).";
    const none = new Uint8Array(0);
    this.drawing = new Drawing({ ...info, state: info.damaged ? "damaged" : info.state }, null, none, none);
  }
}

export class Photographs {
  #kept = new Map(); // id -> { promise, drawing }; the one used last is at the end

  /** The photograph with this id, loaded if it is not here. */
  get(id) {
    const found = this.#kept.get(id) ?? this.#load(id);
    this.#kept.delete(id);
    this.#kept.set(id, found);
    this.#drop();
    return found.promise;
  }

  /** Loads a photograph for later, and calls `then` with it. If that fails, opening it tells why. */
  expect(id, then) {
    if (!this.#kept.has(id)) this.get(id).then(then, () => this.forget(id));
  }

  forget(id) {
    this.#kept.get(id)?.drawing?.image.close();
    this.#kept.delete(id);
  }

  #load(id) {
    const found = { drawing: null };
    found.promise = load(id).then((drawing) => (found.drawing = drawing), (error) => {
      this.forget(id);
      throw error;
    });
    return found;
  }

  #drop() {
    let pixels = 0;
    const entries = [...this.#kept].reverse();
    entries.forEach(([id, { drawing }], place) => {
      if (!drawing) return;
      pixels += drawing.width * drawing.height;
      if (place >= FEWEST && pixels > PIXELS && drawing.clean) this.forget(id);
    });
  }
}

async function load(id) {
  for (;;) {
    const asked = [api.photograph(id), api.image(id), api.mask(id)];
    const [info, image, mask] = await Promise.all(asked).catch(async (error) => {
      const { problem, damaged } = await asked[0];
      throw problem || damaged ? new Unshown(await asked[0]) : error;
    });
    if (info.damaged) {
      image.close();
      throw new Unshown(info);
    }
    const machine = UNTOUCHED.includes(info.state) ? mask : await api.machine(id);
    if (mask.revision === info.revision) return new Drawing(info, image, mask.data, machine.data);
    image.close(); // it was saved between the two requests
  }
}
