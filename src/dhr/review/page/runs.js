// Boxes of pixels, and changes of an id map as runs: an undo costs what changed, not a whole mask.

export const whole = (width, height) => ({ left: 0, top: 0, right: width, bottom: height });

/** The smallest box around two; either may be null. */
export const joined = (one, other) => one && other ? {
  left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
  right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
} : one ?? other;

/** Runs in a box where two maps differ, three numbers each: start, length, value before and (times 256) after. */
export function difference(before, after, width, box) {
  const runs = [];
  for (let y = box.top; y < box.bottom; y++) {
    const end = y * width + box.right;
    let at = y * width + box.left;
    while (at < end) {
      const start = at, was = before[at], is = after[at];
      do at++; while (at < end && before[at] === was && after[at] === is);
      if (was !== is) runs.push(start, at - start, was | (is << 8));
    }
  }
  return Uint32Array.from(runs);
}

/** Writes the values after a change into a map, or with `back` those before it. */
export function replay(map, runs, back) {
  for (let i = 0; i < runs.length; i += 3) {
    map.fill(back ? runs[i + 2] & 255 : runs[i + 2] >> 8, runs[i], runs[i] + runs[i + 1]);
  }
}

/** Copies the pixels of a box from one map to another of the same size. */
export function copyBox(from, to, width, box) {
  for (let y = box.top; y < box.bottom; y++) {
    to.set(from.subarray(y * width + box.left, y * width + box.right), y * width + box.left);
  }
}
