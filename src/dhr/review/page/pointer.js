// Mouse, pen, fingers and arrow keys on the canvas become points for the tools, or move the picture.

const NEAR = 8; // pixels of the page within which two points count as one
const PEN_ERASER = 32;

export class Pointer {
  #fingers = new Map();
  #busy = null; // the pointer that draws
  #panning = null;
  #pinch = null;
  #penSeen = false;
  #last = null; // the press before
  space = false;
  keyed = false; // the arrow keys were used last
  pressed = false; // by the keyboard

  constructor(desk, canvas) {
    this.desk = desk;
    this.canvas = canvas;
    const on = (name, act, options) => canvas.addEventListener(name, act.bind(this), options);
    on("pointerdown", this.#down);
    on("pointermove", this.#move);
    on("pointerup", this.#up);
    on("pointercancel", this.#stop);
    on("pointerleave", () => { if (!this.#busy && !this.keyed) desk.point(null); });
    on("wheel", this.#wheel, { passive: false });
    on("contextmenu", this.#menu);
  }

  #point(event) {
    return this.desk.view.surface.toImage(event.clientX, event.clientY);
  }

  #more(event, twice = false) {
    return {
      twice, negative: event.altKey || event.shiftKey,
      near: (point) => this.desk.nearby(point, this.#point(event), NEAR),
    };
  }

  #down(event) {
    const { desk } = this;
    this.canvas.focus({ preventScroll: true });
    if (!desk.drawing || event.button === 2) return;
    this.keyed = false;
    if (event.pointerType === "pen") this.#penSeen = true;
    if (event.pointerType === "touch") {
      this.#fingers.set(event.pointerId, event);
      if (this.#fingers.size === 2) return this.#startPinch();
      if (this.#fingers.size > 2) return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    const pans = event.button === 1 || this.space || (event.pointerType === "touch" && this.#penSeen);
    if (pans) {
      this.#panning = event;
      event.preventDefault();
    } else if (!this.#busy) {
      const twice = this.#isSecond(event);
      this.#last = event;
      this.#busy = { id: event.pointerId, tool: event.buttons & PEN_ERASER ? desk.tools.eraser : desk.tool };
      desk.point(this.#point(event));
      this.#busy.tool.down(this.#point(event), this.#more(event, twice));
    }
  }

  /** Whether a press ends a double click. */
  #isSecond(event) {
    const last = this.#last;
    if (!last || event.timeStamp - last.timeStamp > 350) return false;
    return Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < NEAR;
  }

  #startPinch() {
    if (this.#busy) this.#busy.tool.cancel();
    this.#busy = this.#panning = null;
    this.#pinch = this.#span();
  }

  /** Middle and distance of two fingers. */
  #span() {
    const [one, other] = [...this.#fingers.values()];
    return {
      x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2,
      distance: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1,
    };
  }

  #move(event) {
    const { desk } = this, { view } = desk;
    if (!desk.drawing) return;
    if (this.#fingers.has(event.pointerId)) this.#fingers.set(event.pointerId, event);
    if (this.#pinch && this.#fingers.size === 2) {
      const now = this.#span(), { ratio } = view.surface;
      view.pan((now.x - this.#pinch.x) * ratio, (now.y - this.#pinch.y) * ratio);
      view.zoom(now.distance / this.#pinch.distance, view.surface.toImage(now.x, now.y));
      this.#pinch = now;
    } else if (this.#panning?.pointerId === event.pointerId) {
      const { ratio } = view.surface;
      view.pan((event.clientX - this.#panning.clientX) * ratio, (event.clientY - this.#panning.clientY) * ratio);
      this.#panning = event;
    } else if (this.#busy?.id === event.pointerId) {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) this.#busy.tool.move(this.#point(part), this.#more(part));
      desk.point(this.#point(event));
    } else if (!this.#fingers.size) {
      this.keyed = false;
      desk.point(this.#point(event));
      desk.tool.hover(this.#point(event));
    }
  }

  #up(event) {
    if (this.#busy?.id === event.pointerId) {
      const { tool } = this.#busy;
      this.#busy = null;
      tool.up();
    }
    this.#release(event);
  }

  #stop(event) {
    if (this.#busy?.id === event.pointerId) this.cancel();
    this.#release(event);
  }

  #release(event) {
    this.#fingers.delete(event.pointerId);
    if (this.#fingers.size < 2) this.#pinch = null;
    if (this.#panning?.pointerId === event.pointerId) this.#panning = null;
    if (event.pointerType === "touch") this.desk.point(null);
  }

  /** Lifts what the keyboard pressed, when it goes elsewhere. */
  letGo() {
    if (this.pressed) this.press();
  }

  /** Ends what the present tool is doing, without a trace. */
  cancel() {
    this.#busy = null;
    this.pressed = false;
    this.desk.tool.cancel();
  }

  #wheel(event) {
    event.preventDefault();
    const { view } = this.desk, unit = event.deltaMode === 1 ? 30 : 1;
    if (event.shiftKey) view.pan(-(event.deltaX + event.deltaY) * unit, 0);
    else view.zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0015)), this.#point(event));
  }

  #menu(event) {
    event.preventDefault();
    const { desk } = this, place = this.keyed && desk.cursor; // a keyboard has a key for menus, too
    if (!desk.drawing || this.#busy) return;
    if (place) desk.page.menu(place, ...desk.view.surface.toPage(...place));
    else desk.page.menu(this.#point(event), event.clientX, event.clientY);
  }

  /** Moves the cross of the keyboard by pixels of the page. */
  step(dx, dy) {
    const { desk } = this, { view, drawing } = desk;
    if (!drawing) return;
    const { ratio } = view.surface, scale = view.camera.scale / ratio;
    const from = desk.cursor ?? [view.camera.x, view.camera.y];
    const by = [dx, dy].map((step) => Math.sign(step) * Math.max(Math.abs(step) / scale, 1));
    const to = [from[0] + by[0], from[1] + by[1]].map((x, i) =>
      Math.min(Math.max(x, 0.5), (i ? drawing.height : drawing.width) - 0.5));
    this.keyed = true;
    desk.point(to);
    if (this.pressed) desk.tool.move(to, { near: (point) => desk.nearby(point, to, NEAR) });
    else desk.tool.hover(to);
    this.#follow(to);
    desk.say(`${desk.name(desk.drawing.at(to))} at ${to.map(Math.floor).join(", ")}.`);
  }

  #follow([x, y]) {
    const { view } = this.desk, { canvas, ratio } = view.surface, [across, down] = view.surface.toCanvas(x, y);
    const out = (value, most) => (value < 20 * ratio ? 20 * ratio - value : Math.min(most - 20 * ratio - value, 0));
    const [dx, dy] = [out(across, canvas.width), out(down, canvas.height)];
    if (dx || dy) view.pan(dx, dy);
  }

  /** Presses or lifts the tool at the cross of the keyboard. `negative` is for a point beside the thing. */
  press(negative = false) {
    const { desk } = this;
    if (!desk.drawing) return;
    if (!desk.cursor) this.step(0, 0);
    this.keyed = true;
    if (this.pressed) {
      this.pressed = false;
      desk.tool.up();
      desk.say("The stroke ended.");
    } else {
      desk.tool.down(desk.cursor, { negative, near: (point) => desk.nearby(point, desk.cursor, NEAR) });
      this.pressed = desk.tool.drags;
      if (this.pressed) desk.say("Drawing: move with the arrow keys. Space ends the stroke.");
      else desk.tool.up();
    }
  }
}
