// Shapes on the grid of pixels. Each calls `span(y, left, right)` once or more per row; `right` is excluded.
// A pixel belongs to a shape if its centre does. Spans may leave the picture: who paints them cuts them.

const first = (x) => Math.ceil(x - 0.5);

/** Moves the middle of a brush so that its disc is the same at every place: `size` is its width in pixels. */
export const snapped = (x, size) => (size % 2 ? Math.floor(x) + 0.5 : Math.round(x));

/** A brush that goes from one point to another: all pixels within `radius` of the line. */
export function capsule([x0, y0], [x1, y1], radius, span) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  const [nx, ny] = length ? [((y0 - y1) / length) * radius, ((x1 - x0) / length) * radius] : [0, 0];
  const corners = [[x0 + nx, y0 + ny], [x1 + nx, y1 + ny], [x1 - nx, y1 - ny], [x0 - nx, y0 - ny]];
  for (let y = first(Math.min(y0, y1) - radius); y + 0.5 <= Math.max(y0, y1) + radius; y++) {
    let low = Infinity, high = -Infinity;
    const reach = (x) => { low = Math.min(low, x); high = Math.max(high, x); };
    for (const [cx, cy] of [[x0, y0], [x1, y1]]) {
      const rest = radius ** 2 - (y + 0.5 - cy) ** 2;
      if (rest >= 0) { reach(cx - Math.sqrt(rest)); reach(cx + Math.sqrt(rest)); }
    }
    if (length) crossings(corners, y + 0.5).forEach(reach);
    if (low <= high) span(y, first(low), Math.floor(high - 0.5) + 1);
  }
}

/** Where a closed outline crosses a row, from left to right. */
function crossings(points, row) {
  const found = [];
  points.forEach(([x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length];
    if ((y0 <= row) !== (y1 <= row)) found.push(x0 + ((row - y0) / (y1 - y0)) * (x1 - x0));
  });
  return found.sort((a, b) => a - b);
}

/** The inside of an outline; where it crosses itself, even and odd count. */
export function polygon(points, height, span) {
  const rows = points.map(([, y]) => y);
  const last = Math.min(Math.max(...rows), height);
  for (let y = Math.max(first(Math.min(...rows)), 0); y + 0.5 <= last; y++) {
    const found = crossings(points, y + 0.5);
    for (let i = 0; i + 1 < found.length; i += 2) {
      if (first(found[i]) < first(found[i + 1])) span(y, first(found[i]), first(found[i + 1]));
    }
  }
}

/** The connected pixels of one id around a pixel (four neighbours each). */
export function region(ids, width, height, x, y, span) {
  const id = ids[y * width + x], seen = new Uint8Array(ids.length), todo = [x, y], found = [];
  while (todo.length) {
    const row = todo.pop() * width, column = todo.pop();
    if (seen[row + column]) continue;
    let left = column, right = column + 1;
    while (left > 0 && ids[row + left - 1] === id) left--;
    while (right < width && ids[row + right] === id) right++;
    seen.fill(1, row + left, row + right);
    found.push([row / width, left, right]);
    for (const next of [row - width, row + width]) {
      if (next < 0 || next >= ids.length) continue;
      for (let at = left; at < right; at++) {
        const starts = ids[next + at] === id && !seen[next + at];
        if (starts && (at === left || ids[next + at - 1] !== id)) todo.push(at, next / width);
      }
    }
  }
  for (const one of found) span(...one); // at the end, because painting changes the ids
}

/** All pixels of a map that have one value, within a box. */
export function equal(map, value, width, box, span) {
  for (let y = box.top; y < box.bottom; y++) {
    const row = y * width;
    let at = box.left;
    while (at < box.right) {
      const start = at, is = map[row + at] === value;
      do at++; while (at < box.right && (map[row + at] === value) === is);
      if (is) span(y, start, at);
    }
  }
}

/** The box of each label of a map. */
export function boxes(labels, width) {
  const found = [];
  for (let at = 0; at < labels.length; at++) {
    const x = at % width, y = (at - x) / width, box = found[labels[at]];
    if (!box) found[labels[at]] = { left: x, top: y, right: x + 1, bottom: y + 1 };
    else {
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      box.bottom = y + 1;
    }
  }
  return found;
}
