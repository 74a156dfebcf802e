// The second picture, side by side: the photograph, the machine's mask, a stage or a CAM, in the same section.
import { heat, table } from "./colours.js";
import { el } from "./elements.js";
import { heatPicture, Overlay } from "./overlay.js";
import { Surface } from "./surface.js";
import { cross } from "./tools.js";

const STAGES = {
  cam: "CAMs alone", base: "base mask", seed: "seeds (Step 1)", inter: "after Step 2", intra: "after Step 3",
};

export class Compare {
  layer = "photograph";
  #frame = 0;
  #pictures = new Map(); // canvases of the open photograph, by layer

  constructor(desk, { pane, canvas, select }) {
    Object.assign(this, { desk, pane, select });
    this.surface = new Surface(canvas, desk.view.camera, () => this.#paint());
    this.heat = heat();
    desk.view.camera.watchers.add(() => this.#zoomed());
    select.addEventListener("change", () => this.choose(select.value));
  }

  get open() { return !this.pane.hidden; }

  toggle() {
    this.pane.hidden = !this.pane.hidden;
    this.draw();
    return this.open;
  }

  /** Lists what there is of another photograph. */
  opened() {
    this.#pictures.clear();
    const { drawing } = this.desk, { layers = [], cams = [] } = drawing ?? {};
    const options = [
      ["photograph", "photograph"], ["machine", "machine's mask"],
      ...layers.map((step) => [`layer ${step}`, STAGES[step] ?? step]),
      ...cams.map((id) => [`cam ${id}`, `CAM of ${this.desk.name(id)}`]),
    ];
    this.select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    if (!options.some(([value]) => value === this.layer)) this.layer = "photograph";
    this.select.value = this.layer;
    this.draw();
  }

  choose(layer) {
    this.layer = this.select.value = layer;
    this.draw();
  }

  /** Goes to the next layer of the list. Returns its name. */
  turn() {
    const { options } = this.select, next = options[(this.select.selectedIndex + 1) % options.length];
    this.choose(next.value);
    return next.textContent;
  }

  /** Draws with other colours. */
  redraw() {
    this.#pictures.clear();
    this.draw();
  }

  #zoomed() {
    const reach = this.desk.drawing ? this.desk.view.reach() : 0;
    if (reach !== this.reach) this.#pictures.clear(); // outlines of another width
    this.reach = reach;
    this.draw();
  }

  draw() {
    if (this.open) this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /** The canvas of the layer; null: it is the photograph, or it has not come yet. */
  #picture() {
    const { desk, layer } = this, { drawing, computed } = desk, [kind, which] = layer.split(" ");
    if (this.#pictures.has(layer)) return this.#pictures.get(layer);
    let found = null;
    if (kind === "machine") found = this.#mask(drawing.machine);
    else if (kind === "layer") found = this.#of(computed.layer(which), ({ data }) => this.#mask(data));
    else if (kind === "cam") found = this.#of(computed.cam(which), (map) => heatPicture(map, this.heat));
    if (found) this.#pictures.set(layer, found);
    return found;
  }

  #of(data, make) { return data && make(data); }

  #mask(ids) {
    const { drawing, session, view } = this.desk, overlay = new Overlay(drawing.width, drawing.height);
    overlay.colour(ids, drawing.box, table(session, Math.max(view.opacity, 0.3)), view.reach());
    return overlay.canvas;
  }

  #paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { desk, surface } = this, { drawing } = desk;
    surface.context.clearRect(0, 0, surface.canvas.width, surface.canvas.height);
    if (!drawing) return;
    const picture = this.#picture(), isHeat = this.layer.startsWith("cam");
    const pictures = [{ picture: drawing.image }];
    if (picture) pictures.push({ picture, smooth: isHeat });
    surface.draw(drawing, pictures);
    if (desk.cursor) cross(surface.context, surface, desk.cursor);
  }
}
