// The tools. Each takes points of the photograph: `down`, `move` while pressed, `up`; `hover` without; `cancel` ends it
// without a trace; `marks` draws above the picture. A tool calls `desk.keep` when a step is whole.
import { MACHINE, VOID } from "./drawing.js";
import { boxes, capsule, equal, polygon, region, snapped } from "./shapes.js";

const SMALLEST = 3; // pixels: a smaller box is a click of an unsteady hand
const inside = ({ width, height }, [x, y]) => x >= 0 && y >= 0 && x < width && y < height;
const within = ({ width, height }, [x, y]) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
const pixel = ([x, y]) => [Math.floor(x), Math.floor(y)];

class Tool {
  constructor(desk) { this.desk = desk; }
  down() {}
  move() {}
  up() {}
  hover() {}
  cancel() { this.desk.abandon(); }
  finish() { return false; } // Enter; whether the tool had a use for it
  back() { return false; } // Backspace
  get pending() { return false; } // whether it began a region that Enter would end
  marks() {}
  get drags() { return false; } // whether the keyboard holds it down until Space is pressed again

  /** Paints a shape: a function that calls its argument with rows. */
  paint(shape, value = this.desk.value) {
    const { drawing } = this.desk;
    shape((y, left, right) => drawing.paint(y, left, right, value));
    this.desk.touch();
  }
}

class Brush extends Tool {
  get drags() { return true; }
  value() { return this.desk.value; }
  down(point) {
    this.last = null;
    this.move(point);
  }
  move(point) {
    const { size } = this.desk, next = point.map((x) => snapped(x, size));
    this.paint((span) => capsule(this.last ?? next, next, size / 2, span), this.value());
    this.last = next;
  }
  up() { this.desk.keep(); }
  marks(context, surface) {
    const { cursor, size } = this.desk;
    if (cursor) ring(context, surface.toCanvas(...cursor.map((x) => snapped(x, size))), (size / 2) * surface.camera.scale, surface.ratio);
  }
}

class Eraser extends Brush {
  value() { return MACHINE; }
}

class Fill extends Tool {
  down(point) {
    this.desk.giveRegion(point, this.desk.value);
  }
}

class Polygon extends Tool {
  points = [];
  down(point, { twice = false, near } = {}) {
    if (this.points.length > 2 && (twice || near(this.points[0]))) this.finish();
    else this.points.push(point);
    this.desk.touch();
  }
  move(point, { near }) {
    if (this.points.length && !near(this.points.at(-1))) this.points.push(point); // a line drawn by hand
    this.desk.touch();
  }
  up() {
    if (this.points.length > 12 && this.desk.nearby(this.points[0], this.points.at(-1), 3)) this.finish();
  }
  hover() { this.desk.touch(); }
  get pending() { return this.points.length > 2; }
  finish() {
    const { points } = this;
    this.points = [];
    if (points.length > 2) {
      this.paint((span) => polygon(points, this.desk.drawing.height, span));
      this.desk.keep();
    }
    this.desk.touch();
    return points.length > 0;
  }
  back() {
    const had = this.points.pop() !== undefined;
    this.desk.touch();
    return had;
  }
  cancel() {
    this.points = [];
    super.cancel();
  }
  marks(context, surface) {
    if (!this.points.length) return;
    const all = this.desk.cursor ? [...this.points, this.desk.cursor] : this.points;
    const path = new Path2D();
    all.forEach((point, i) => path[i ? "lineTo" : "moveTo"](...surface.toCanvas(...point)));
    stroke(context, path, surface.ratio);
    ring(context, surface.toCanvas(...this.points[0]), 5 * surface.ratio, surface.ratio);
  }
}

class Superpixels extends Tool {
  seen = null;
  down(point) { this.move(point); }
  move(point) {
    const cell = this.cell(point);
    if (cell) this.paint((span) => equal(cell.labels, cell.label, this.desk.drawing.width, cell.box, span));
  }
  up() { this.desk.keep(); }
  hover() { this.desk.touch(); }

  /** The cell at a point. They are asked for when they are first needed. */
  cell(point) {
    const { drawing } = this.desk, labels = this.desk.computed.superpixels();
    if (!labels || !point || !inside(drawing, point)) return null;
    if (this.seen !== labels) {
      this.seen = labels;
      this.boxes = boxes(labels, drawing.width);
    }
    const [x, y] = pixel(point), label = labels[y * drawing.width + x];
    return { labels, label, box: this.boxes[label] };
  }
  marks(context, surface) {
    const cell = this.cell(this.desk.cursor);
    if (!cell) return;
    const { width } = this.desk.drawing, path = new Path2D(), { scale } = surface.camera;
    equal(cell.labels, cell.label, width, cell.box, (y, left, right) => {
      const [x0, y0] = surface.toCanvas(left, y);
      path.rect(x0, y0, (right - left) * scale, scale);
    });
    context.fillStyle = "rgb(255 255 255 / .45)";
    context.fill(path);
  }
}

/** A click or a box that SAM answers with a region; Enter gives the region to the class. */
class Click extends Tool {
  points = [];
  box = null;
  answer = null;
  asked = null; // what SAM was asked, until it answers
  down(point, { negative = false } = {}) {
    this.start = point;
    this.negative = negative;
  }
  move(point) {
    const { drawing } = this.desk, [from, to] = [this.start, point].map((place) => within(drawing, place));
    const box = [0, 1].map((i) => Math.min(from[i], to[i])).concat([0, 1].map((i) => Math.max(from[i], to[i])));
    this.dragged = !this.negative && Math.min(box[2] - box[0], box[3] - box[1]) >= SMALLEST;
    if (this.dragged) this.box = box;
    this.desk.touch();
  }
  async up() {
    if (!this.dragged && !inside(this.desk.drawing, this.start)) return;
    if (!this.dragged) this.points.push([...this.start, !this.negative]);
    this.dragged = false;
    const asked = (this.asked = { points: this.points, ...(this.box ? { box: this.box } : {}) });
    this.desk.say("SAM looks for the region…");
    const answer = await this.desk.computed.click(asked);
    if (this.asked !== asked) return;
    this.asked = null;
    if (!answer) return this.desk.say("SAM did not answer.");
    this.answer = answer.includes(1) ? answer : null;
    if (this.answer) this.desk.say("SAM found a region. Enter gives it to the class, Escape discards it.");
    else this.desk.say("SAM finds nothing here. Click elsewhere, or drag a box around the thing.");
    this.desk.touch();
  }
  get pending() { return this.answer !== null; }
  finish() {
    const { answer } = this;
    if (!answer) return false;
    this.paint((span) => equal(answer, 1, this.desk.drawing.width, this.desk.drawing.box, span));
    this.clear();
    this.desk.keep();
    return true;
  }
  clear() {
    Object.assign(this, { points: [], box: null, answer: null, asked: null, dragged: false });
    this.desk.touch();
  }
  cancel() {
    this.clear();
    super.cancel();
  }
  marks(context, surface) {
    const { width, height } = this.desk.drawing, { scale } = surface.camera, path = new Path2D();
    if (this.answer) {
      equal(this.answer, 1, width, { left: 0, top: 0, right: width, bottom: height }, (y, left, right) => {
        path.rect(...surface.toCanvas(left, y), (right - left) * scale, scale);
      });
      context.fillStyle = "rgb(255 255 255 / .5)";
      context.fill(path);
    }
    if (this.box) {
      const frame = new Path2D();
      frame.rect(...surface.toCanvas(this.box[0], this.box[1]), (this.box[2] - this.box[0]) * scale, (this.box[3] - this.box[1]) * scale);
      stroke(context, frame, surface.ratio);
    }
    for (const [x, y, positive] of this.points) {
      const [across, down] = surface.toCanvas(x, y), sign = new Path2D(), arm = 4 * surface.ratio;
      ring(context, [across, down], 8 * surface.ratio, surface.ratio);
      sign.moveTo(across - arm, down);
      sign.lineTo(across + arm, down);
      if (positive) {
        sign.moveTo(across, down - arm);
        sign.lineTo(across, down + arm);
      }
      stroke(context, sign, surface.ratio);
    }
  }
}

/** Draws a line that can be seen on any photograph: white on black. */
function stroke(context, path, ratio) {
  for (const [colour, width] of [["rgb(0 0 0 / .8)", 3.5], ["#ffffff", 1.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.stroke(path);
  }
}

function ring(context, [x, y], radius, ratio) {
  const path = new Path2D();
  path.arc(x, y, Math.max(radius, 2 * ratio), 0, 2 * Math.PI);
  stroke(context, path, ratio);
}

/** A cross where the keyboard points to. */
export function cross(context, surface, point) {
  const [x, y] = surface.toCanvas(...point), path = new Path2D(), arm = 12 * surface.ratio;
  for (const [dx, dy] of [[arm, 0], [-arm, 0], [0, arm], [0, -arm]]) {
    path.moveTo(x + dx / 3, y + dy / 3);
    path.lineTo(x + dx, y + dy);
  }
  stroke(context, path, surface.ratio);
}

export const toolsOf = (desk) => ({
  brush: new Brush(desk), eraser: new Eraser(desk), fill: new Fill(desk), polygon: new Polygon(desk),
  superpixels: new Superpixels(desk), click: new Click(desk),
});

/** Gives the connected region around a point to a class. */
export function giveRegion(drawing, point, value) {
  if (!inside(drawing, point)) return false;
  const { width, height } = drawing;
  region(drawing.ids, width, height, ...pixel(point), (y, left, right) => drawing.paint(y, left, right, value));
  return true;
}

export const named = (session, value) =>
  value === VOID ? "void" : session.classes.find(({ id }) => id === value)?.name ?? `class ${value}`;
