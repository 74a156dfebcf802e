// The list of photographs. Only rows in view exist, and only pages in view are asked for.
import { thumb } from "./api.js";
import { el, icon } from "./elements.js";

const ROW = 76; // pixels; style.css has the same number
const PAGE = 100;
const SETTLE = 80; // milliseconds without scrolling after which thumbnails load

export class Queue {
  index = -1; // of the open photograph in this list
  total = 0;
  #pages = new Map(); // number -> promise
  #entries = new Map(); // index -> entry
  #rows = new Map(); // index -> element
  #asked = 0; // counts the lists, so that answers for an earlier one are dropped

  /** `source(query)` asks the server; `open(entry, index)` is called for the row that is chosen, `busy()` tells whether others wait. */
  constructor(list, { source, open, failed, changed, tags, busy }) {
    Object.assign(this, { list, source, open, failed, changed, tags, busy });
    this.filter = { state: "undecided", order: "doubtful", class: "", search: "" };
    this.space = el("div", { className: "space" });
    list.append(this.space);
    list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("click", (event) => this.#clicked(event));
    new ResizeObserver(() => this.draw()).observe(list);
  }

  /** Asks for the list again, with other filters if some are given. */
  async reload(filter = {}) {
    Object.assign(this.filter, filter);
    this.#asked++;
    this.#pages.clear();
    this.#entries.clear();
    this.index = this.focus = -1;
    this.total = 0;
    this.list.scrollTop = 0;
    this.draw();
    await this.#page(0);
  }

  /** The entry at an index of the list, null behind its end. */
  async at(index) {
    if (index < 0 || (index >= this.total && this.total > 0)) return null;
    await this.#page(Math.floor(index / PAGE));
    return this.#entries.get(index) ?? null;
  }

  /** The entry of a photograph, if it has been loaded. */
  find(id) {
    for (const [index, entry] of this.#entries) if (entry.id === id) return { index, entry };
    return null;
  }

  /** Marks the open photograph and brings its row into view. */
  mark(id) {
    const found = this.find(id);
    if (found) this.index = this.focus = found.index;
    else if (this.index >= 0) this.index = -1;
    if (found) this.#reveal(found.index);
    this.draw();
  }

  /** Takes over what the server has of a photograph now. */
  update(id, values) {
    const found = this.find(id);
    if (!found) return;
    Object.assign(found.entry, values);
    this.#rows.get(found.index)?.remove();
    this.#rows.delete(found.index);
    this.draw();
  }

  #page(number) {
    if (!this.#pages.has(number)) {
      const loading = this.#fetch(number * PAGE);
      this.#pages.set(number, loading);
      loading.catch(() => this.#pages.delete(number));
    }
    return this.#pages.get(number);
  }

  /** Photographs before an index that no longer fit the filter: the server does not count them. */
  #gone(before = Infinity) {
    let gone = 0;
    for (const [index, { state }] of this.#entries) gone += index < before && this.filter.state !== "" && state !== this.filter.state;
    return gone;
  }

  async #fetch(from) {
    const asked = this.#asked, gone = this.#gone(), used = Object.entries(this.filter).filter(([, value]) => value !== "");
    const answer = await this.source({ ...Object.fromEntries(used), offset: from - this.#gone(from), limit: PAGE });
    if (asked !== this.#asked) return;
    const total = answer.total + gone;
    if (this.#entries.size && total !== this.total) return void (await this.reload()); // changed elsewhere
    this.total = total;
    answer.entries.forEach((entry, i) => this.#entries.set(from + i, entry));
    this.space.style.height = `${total * ROW}px`;
    this.changed();
    this.draw();
  }

  #reveal(index) {
    const top = index * ROW, { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.list.scrollTop = top + ROW - clientHeight + ROW / 2;
  }

  #scrolled() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  /** Makes the rows in view, and removes the others. */
  draw() {
    const first = Math.max(Math.floor(this.list.scrollTop / ROW) - 3, 0);
    const last = Math.min(Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + 3, this.total);
    for (const [index, row] of this.#rows) {
      if (index < first || index >= last || row.entry !== this.#entries.get(index)) {
        row.remove();
        this.#rows.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      if (!this.#rows.has(index) && this.#entries.has(index)) this.#add(index);
    }
    for (const [index, row] of this.#rows) {
      row.setAttribute("aria-selected", String(index === this.index));
      row.classList.toggle("focused", index === this.focus);
    }
    if (this.#rows.has(this.focus)) this.list.setAttribute("aria-activedescendant", `row-${this.focus}`);
    else this.list.removeAttribute("aria-activedescendant");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#settle(first, last), SETTLE);
  }

  /** Loads the pages and thumbnails in view, once scrolling has come to rest; a photograph that is being opened goes first. */
  #settle(first, last) {
    if (this.busy()) {
      this.timer = setTimeout(() => this.#settle(first, last), SETTLE);
      return;
    }
    for (const row of this.#rows.values()) {
      const picture = row.querySelector("img"); // or a symbol, if it cannot be loaded
      if (picture && !picture.src) picture.src = thumb(row.entry.id, row.entry.revision);
    }
    for (let number = Math.floor(first / PAGE); number * PAGE < last; number++) this.#page(number).catch(this.failed);
  }

  #add(index) {
    const entry = this.#entries.get(index), picture = el("img", { alt: "", decoding: "async", draggable: false });
    const about = entry.reason || this.tags(entry);
    picture.addEventListener("error", () => picture.replaceWith(el("span", { className: "no-picture" }, icon("lost"))));
    const row = el("div", {
      id: `row-${index}`, className: "row", role: "option", "aria-posinset": index + 1, "aria-setsize": this.total,
    }, picture, el("div", { className: "about" },
      el("div", { className: "name", title: entry.name }, entry.name),
      el("div", { className: `state ${entry.state}` }, icon(entry.state), entry.state),
      el("div", { className: "why", title: about }, about)));
    row.entry = entry;
    row.style.transform = `translateY(${index * ROW}px)`;
    this.#rows.set(index, row);
    this.space.append(row);
  }

  #clicked(event) {
    const row = event.target.closest(".row");
    for (const [index, one] of this.#rows) if (one === row) this.open(row.entry, index);
  }

  #key(event) {
    const rows = Math.max(Math.floor(this.list.clientHeight / ROW) - 1, 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -this.total, End: this.total };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) {
      const from = this.focus < 0 ? -1 : this.focus;
      this.focus = Math.min(Math.max(from + steps[event.key], 0), this.total - 1);
      this.#reveal(this.focus);
      this.draw();
    } else if ((event.key === "Enter" || event.key === " ") && this.#entries.has(this.focus)) {
      this.open(this.#entries.get(this.focus), this.focus);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
