// What the server computes for the open photograph: superpixels, stages, CAMs, SAM's answers, "refine again".
import * as api from "./api.js";
import { FREE } from "./drawing.js";

const WORDS = { superpixels: "superpixels", layer: "mask of this step", cam: "CAM" };

export class Computed {
  refining = false;

  constructor(desk) { this.desk = desk; }

  /** A thing that is loaded once per photograph: null until it has come. */
  #extra(name, load) {
    const { drawing, page } = this.desk;
    if (!drawing.extras.has(name)) {
      drawing.extras.set(name, null);
      load(drawing.id).then((found) => {
        drawing.extras.set(name, found);
        this.desk.touch();
        page.extra();
      }, (error) => {
        drawing.extras.delete(name);
        page.warn(`${drawing.name}: the ${WORDS[name.split(" ")[0]]} cannot be shown: ${error.message}.`);
      });
    }
    return drawing.extras.get(name);
  }

  superpixels() { return this.#extra("superpixels", api.superpixels); }
  layer(step) { return this.#extra(`layer ${step}`, (id) => api.layer(id, step)); }
  cam(kind) { return this.#extra(`cam ${kind}`, (id) => api.cam(id, kind)); }

  /** Lets the networks look at the photograph, so that the first "refine again" is quick. */
  prepare() {
    const { drawing, session } = this.desk;
    if (!session.tools.refine || drawing.extras.has("prepared")) return;
    drawing.extras.set("prepared", true);
    api.prepare(drawing.id).catch(() => drawing.extras.delete("prepared")); // "refine again" tells what is wrong
  }

  async click(prompt) {
    const { drawing, page } = this.desk;
    try {
      const { data } = await api.click(drawing.id, prompt);
      return this.desk.drawing === drawing ? data : null;
    } catch (error) {
      page.warn(`SAM did not answer: ${error.message}.`);
      return null;
    }
  }

  /** The method again, with what was drawn held fixed. What is drawn meanwhile stays as well. */
  async refine() {
    const { desk } = this, { drawing, page } = desk;
    if (this.refining || !desk.hasPhotograph()) return;
    desk.pointer.cancel();
    this.refining = true;
    desk.say("Refining…");
    page.refresh();
    try {
      const held = drawing.held?.slice() ?? new Uint8Array(drawing.ids.length).fill(FREE);
      const { data } = await api.refine(drawing.id, held, { tags: drawing.tags });
      if (desk.drawing === drawing) desk.pointer.cancel();
      drawing.replace(data);
      desk.say(desk.keep({}, drawing) ? "Refined." : "Refined; nothing changed.");
    } catch (error) {
      desk.say("Not refined.");
      page.warn(`${drawing.name} is not refined: ${error.message}.`);
    } finally {
      this.refining = false;
      page.refresh();
    }
  }
}
