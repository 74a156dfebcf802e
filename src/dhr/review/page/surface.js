// A canvas that shows a part of a photograph, and the camera that says which part.

const NEAREST = 2.5; // device pixels per pixel from which pixels are shown as squares
const MOST = 64;

/** Device pixels per pixel at which a whole photograph fits a canvas. */
export function fitting({ width, height }, canvas) {
  const margin = 24 * (window.devicePixelRatio || 1);
  return Math.min(Math.max(canvas.width - margin, 1) / width, Math.max(canvas.height - margin, 1) / height, MOST);
}

/** The point of the photograph in the middle of the canvas, and device pixels per pixel. Several canvases may share it. */
export class Camera {
  x = 0;
  y = 0;
  scale = 1;
  fitted = true;
  watchers = new Set();

  tell() {
    for (const watcher of this.watchers) watcher();
  }

  /** Shows the whole photograph. */
  fit({ width, height }, canvas) {
    Object.assign(this, { x: width / 2, y: height / 2, scale: fitting({ width, height }, canvas), fitted: true });
    this.tell();
  }

  /** Zooms so that a point of the photograph stays where it is. */
  zoom(factor, [x, y], { width, height }) {
    const low = Math.min(0.02, 50 / Math.max(width, height));
    const scale = Math.min(Math.max(this.scale * factor, low), MOST), ratio = this.scale / scale;
    this.#place(x + (this.x - x) * ratio, y + (this.y - y) * ratio, scale, width, height);
  }

  /** Moves by device pixels. */
  pan(dx, dy, { width, height }) {
    this.#place(this.x - dx / this.scale, this.y - dy / this.scale, this.scale, width, height);
  }

  /** Keeps the middle of the canvas on the photograph, so that it is never lost. */
  #place(x, y, scale, width, height) {
    Object.assign(this, {
      x: Math.min(Math.max(x, 0), width), y: Math.min(Math.max(y, 0), height), scale, fitted: false,
    });
    this.tell();
  }
}

export class Surface {
  constructor(canvas, camera, resized) {
    this.canvas = canvas;
    this.camera = camera;
    this.context = canvas.getContext("2d");
    const seen = (entries) => this.#resize(entries[0], resized);
    this.observer = new ResizeObserver(seen);
    try {
      this.observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a browser without this box, such as Safari
      this.observer.observe(canvas);
    }
  }

  #resize(entry, resized) {
    const ratio = window.devicePixelRatio || 1, exact = entry.devicePixelContentBoxSize?.[0];
    const width = exact?.inlineSize ?? Math.round(entry.contentRect.width * ratio);
    const height = exact?.blockSize ?? Math.round(entry.contentRect.height * ratio);
    if (!width || !height || (width === this.canvas.width && height === this.canvas.height)) return;
    Object.assign(this.canvas, { width, height });
    resized();
  }

  /** Device pixels of the canvas per pixel of the page. */
  get ratio() {
    return this.canvas.width / (this.canvas.clientWidth || 1);
  }

  /** From a point of the page to one of the photograph. */
  toImage(clientX, clientY) {
    const { left, top } = this.canvas.getBoundingClientRect(), { camera, ratio } = this;
    return [
      ((clientX - left) * ratio - this.canvas.width / 2) / camera.scale + camera.x,
      ((clientY - top) * ratio - this.canvas.height / 2) / camera.scale + camera.y,
    ];
  }

  /** From a point of the photograph to device pixels of the canvas. */
  toCanvas(x, y) {
    const { camera, canvas } = this;
    return [(x - camera.x) * camera.scale + canvas.width / 2, (y - camera.y) * camera.scale + canvas.height / 2];
  }

  /** From a point of the photograph to one of the page. */
  toPage(x, y) {
    const { left, top } = this.canvas.getBoundingClientRect(), [across, down] = this.toCanvas(x, y);
    return [left + across / this.ratio, top + down / this.ratio];
  }

  /** Draws pictures over each other, each stretched to the photograph's size; with a box, only that part. */
  draw({ width, height }, pictures, box = null) {
    const { context, canvas, camera } = this;
    context.save();
    if (box) {
      const [left, top] = this.toCanvas(box.left - 2, box.top - 2);
      const [right, bottom] = this.toCanvas(box.right + 2, box.bottom + 2);
      context.beginPath();
      context.rect(Math.floor(left), Math.floor(top), Math.ceil(right) - Math.floor(left), Math.ceil(bottom) - Math.floor(top));
      context.clip();
    }
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(camera.scale, 0, 0, camera.scale, ...this.toCanvas(0, 0));
    for (const { picture, smooth = true, opacity = 1 } of pictures) {
      context.imageSmoothingEnabled = smooth || camera.scale < NEAREST;
      context.globalAlpha = opacity;
      context.drawImage(picture, 0, 0, width, height);
    }
    context.restore();
  }
}
