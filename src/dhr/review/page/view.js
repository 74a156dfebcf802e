// The picture in the middle: photograph, mask over it, and above both the marks of the tools.
import { table } from "./colours.js";
import { Overlay } from "./overlay.js";
import { Camera, fitting, Surface } from "./surface.js";

const REST = 150; // milliseconds after which zooming has ended

export const STYLES = ["fill and outlines", "fill", "outlines"];

export class View {
  opacity = 0.5;
  style = 0;
  shown = true; // whether the mask is
  drawing = null;
  marks = () => {}; // draws the marks of the present tool: (context, surface)
  #all = true;
  #frame = 0;
  #zooming = 0; // a timer; 0 while the picture rests

  constructor(canvas, marks, session) {
    this.session = session;
    this.colours = table(session, this.opacity);
    this.camera = new Camera();
    this.surface = new Surface(canvas, this.camera, () => this.#resized());
    this.above = new Surface(marks, this.camera, () => this.#resized());
    this.camera.watchers.add(() => this.#moved());
  }

  #moved() {
    this.#ask(true);
    clearTimeout(this.#zooming);
    this.#zooming = setTimeout(() => {
      this.#zooming = 0;
      this.touch(); // outlines of another width
    }, REST);
  }

  /** Width of outlines in pixels of the mask: about one of the screen, so that they can be seen on a large photograph. */
  reach(drawing = this.drawing) {
    const scale = drawing === this.drawing ? this.camera.scale : fitting(drawing, this.surface.canvas);
    return 2 ** Math.max(Math.floor(-Math.log2(scale)), 0);
  }

  #resized() {
    if (this.drawing && this.camera.fitted) this.camera.fit(this.drawing, this.surface.canvas);
    this.#all = true;
    this.#paint(); // at once: a canvas of another size is empty
  }

  /** Shows another photograph, at once: the old one must not take strokes. */
  show(drawing) {
    this.drawing = drawing;
    if (drawing) this.camera.fit(drawing, this.surface.canvas);
    this.#ask(true);
  }

  /** Paints what is new of a photograph's mask. Returns its box, null if nothing is. */
  ready(drawing) {
    drawing.overlay ??= new Overlay(drawing.width, drawing.height);
    const isNew = drawing.painted !== this.colours, reach = isNew || !this.#zooming ? this.reach(drawing) : drawing.reach;
    if (isNew || drawing.reach !== reach) drawing.dirty = drawing.box;
    const box = drawing.dirty;
    if (box) drawing.overlay.colour(drawing.ids, box, this.colours, this.style === 1 ? 0 : reach);
    Object.assign(drawing, { dirty: null, painted: this.colours, reach });
    return box && { left: box.left - reach, top: box.top - reach, right: box.right + reach, bottom: box.bottom + reach };
  }

  fit() {
    if (this.drawing) this.camera.fit(this.drawing, this.surface.canvas);
  }

  /** Zooms around a point of the photograph, or around the middle. */
  zoom(factor, around = [this.camera.x, this.camera.y]) {
    if (this.drawing) this.camera.zoom(factor, around, this.drawing);
  }

  pan(dx, dy) {
    if (this.drawing) this.camera.pan(dx, dy, this.drawing);
  }

  /** Takes over new colours: opacity, outlines, shown or not. */
  recolour() {
    this.colours = table(this.session, this.style === 2 ? 0 : this.opacity);
    this.touch();
  }

  /** Draws the whole picture with the next frame. */
  all() {
    this.#ask(true);
  }

  /** Draws with the next frame what changed of the mask, and the marks of the tool. */
  touch() {
    this.#ask(false);
  }

  #ask(all) {
    this.#all ||= all;
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const { drawing } = this, all = this.#all;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#all = false;
    const { context, canvas } = this.above;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!drawing) {
      this.surface.context.clearRect(0, 0, this.surface.canvas.width, this.surface.canvas.height);
      return;
    }
    const box = this.ready(drawing);
    if (box || all) this.surface.draw(drawing, this.pictures(), all ? null : box);
    this.marks(context, this.above);
  }

  pictures() {
    const found = [{ picture: this.drawing.image }];
    if (this.shown) found.push({ picture: this.drawing.overlay.canvas, smooth: false });
    return found;
  }
}
