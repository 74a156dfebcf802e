// From ids to colours. A table holds the fills, then the edges, then the two stripes of void.
import { VOID } from "./drawing.js";

export const EDGE = 256; // place of the edges in a table
export const STRIPE = 512;

const packed = (hex, alpha) => {
  const value = Number.parseInt(hex.slice(1), 16);
  return ((Math.round(alpha * 255) << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
};

/** The colours of all ids as pixels of an ImageData, for an opacity in 0..1. The background is fainter. */
export function table(session, opacity) {
  const found = new Uint32Array(STRIPE + 1);
  for (const { id, colour } of session.classes) {
    const isBackground = session.background && id === 0;
    found[id] = packed(colour, isBackground ? opacity / 2 : opacity);
    found[EDGE + id] = packed(isBackground ? "#ffffff" : colour, isBackground ? 0.8 : 1);
  }
  found[VOID] = packed("#ffffff", opacity * 0.7);
  found[STRIPE] = packed("#202020", opacity * 0.9);
  found[EDGE + VOID] = packed("#ffffff", 1);
  return found;
}

const STOPS = [[0, 0, 0, 0], [59, 28, 110, 120], [165, 44, 96, 180], [237, 105, 37, 215], [252, 255, 164, 240]];

/** The colours of a heat map: dark and clear to light, in even steps of brightness. */
export function heat() {
  const found = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const place = (value / 255) * (STOPS.length - 1), low = Math.min(Math.floor(place), STOPS.length - 2);
    const mixed = STOPS[low].map((start, i) => Math.round(start + (STOPS[low + 1][i] - start) * (place - low)));
    found[value] = ((mixed[3] << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0]) >>> 0;
  }
  return found;
}
