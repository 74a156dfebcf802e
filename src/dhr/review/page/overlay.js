// An id map as a picture: one canvas of the map's size, of which only what changed is painted again.
import { EDGE, STRIPE } from "./colours.js";
import { VOID } from "./drawing.js";

const STRIP = 64; // rows at a time: the whole picture would take four bytes per pixel once more

export class Overlay {
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width, height });
    this.context = this.canvas.getContext("2d");
    this.stripe = Math.max(2, Math.round(Math.max(width, height) / 160));
  }

  /** Paints a box of ids. Pixels at most `reach` from another id take the colours of edges; with 0 there are none. */
  colour(ids, box, table, reach) {
    const { width, height } = this.canvas;
    const left = Math.max(box.left - reach, 0), right = Math.min(box.right + reach, width);
    const bottom = Math.min(box.bottom + reach, height);
    for (let top = Math.max(box.top - reach, 0); top < bottom; top += STRIP) {
      const picture = new ImageData(right - left, Math.min(STRIP, bottom - top));
      this.#fill(new Uint32Array(picture.data.buffer), ids, { left, top, right, bottom: top + picture.height }, table, reach);
      this.context.putImageData(picture, left, top);
    }
  }

  #fill(out, ids, { left, top, right, bottom }, table, reach) {
    const { width, height } = this.canvas, { stripe } = this;
    let place = 0;
    for (let y = top; y < bottom; y++) {
      const row = y * width, above = y >= reach ? -reach * width : 0, below = y + reach < height ? reach * width : 0; // 0: the pixel itself
      for (let x = left; x < right; x++) {
        const at = row + x, id = ids[at], before = x >= reach ? at - reach : at, after = x + reach < width ? at + reach : at;
        if (ids[before] !== id || ids[after] !== id || ids[at + above] !== id || ids[at + below] !== id) out[place++] = table[EDGE + id];
        else if (id === VOID) out[place++] = table[((x + y) / stripe) & 1 ? STRIPE : VOID];
        else out[place++] = table[id];
      }
    }
  }
}

/** A heat map on its grid as a canvas. */
export function heatPicture({ data, width, height }, table) {
  const overlay = new Overlay(width, height);
  overlay.colour(data, { left: 0, top: 0, right: width, bottom: height }, table, 0);
  return overlay.canvas;
}
