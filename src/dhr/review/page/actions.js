// Actions that keys, buttons and sliders share, beside those of the desk.
import { $ } from "./elements.js";
import * as panels from "./panels.js";
import { STYLES } from "./view.js";

const STEP = 24; // pixels of the page that an arrow key moves the cross
const SIZES = [1, 2, 3, 4, 6, 8, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320];

export class Actions {
  constructor(desk, page, compare) {
    Object.assign(this, { desk, page, compare });
  }

  pick(name, label) {
    const { desk } = this;
    if (desk.tool !== desk.tools[name]) desk.pointer.cancel();
    desk.tool = desk.tools[name];
    if (name === "click") desk.computed.prepare();
    panels.showTool(desk);
    desk.touch();
    desk.say(`${label}.`);
  }

  setSize(size) {
    this.desk.size = size;
    panels.showTool(this.desk);
    this.desk.touch();
  }

  resize(step) {
    const at = SIZES.findIndex((size) => size >= this.desk.size);
    this.setSize(SIZES[Math.min(Math.max((at < 0 ? SIZES.length - 1 : at) + step, 0), SIZES.length - 1)]);
    this.desk.say(`Brush ${this.desk.size} pixels wide.`);
  }

  setOpacity(opacity) {
    const { view } = this.desk;
    view.opacity = Math.min(Math.max(opacity, 0), 1);
    view.recolour();
    this.compare.redraw();
    panels.showTool(this.desk);
  }

  /** Makes the mask denser or clearer. */
  dense(step) {
    this.setOpacity(this.desk.view.opacity + step);
    this.desk.say(`Opacity ${Math.round(100 * this.desk.view.opacity)} %.`);
  }

  mask() {
    const { view } = this.desk;
    view.shown = !view.shown;
    view.all();
    $("[data-command=mask]").setAttribute("aria-pressed", String(view.shown));
    this.desk.say(view.shown ? "The mask is shown." : "The mask is hidden.");
  }

  style(style = (this.desk.view.style + 1) % STYLES.length) {
    this.desk.view.style = style;
    this.desk.view.recolour();
    $("#style").value = style;
    this.desk.say(`Mask: ${STYLES[style]}.`);
  }

  beside() {
    const open = this.compare.toggle();
    $("[data-command=compare]").setAttribute("aria-pressed", String(open));
    this.desk.say(open ? "Two pictures, side by side." : "One picture.");
  }

  layer() {
    if (!this.compare.open) this.beside();
    this.desk.say(`Beside: ${this.compare.turn()}.`);
  }

  /** The class that a key stands for. */
  choice(key) {
    const found = this.desk.choices().find((one) => one.key === key);
    if (!found) this.desk.say(`No class of this photograph has the key ${key}.`);
    return found;
  }

  choose(key) {
    const choice = this.choice(key);
    if (choice) this.desk.choose(choice.value);
  }

  turnClass(step) {
    const choices = this.desk.choices(), at = choices.findIndex(({ value }) => value === this.desk.value);
    this.desk.choose(choices[(at + step + choices.length) % choices.length].value);
  }

  /** Gives the region under the pointer to the class of a key. */
  give(key) {
    const { desk } = this, choice = this.choice(key);
    if (!choice || !this.#pointed()) return;
    desk.giveRegion(desk.cursor, choice.value);
    desk.say(`The region is ${choice.name} now.`);
  }

  arrow(event, dx, dy) {
    if (document.activeElement !== $("#canvas")) return false;
    const step = event.shiftKey ? 1 : STEP;
    this.desk.pointer.step(dx * step, dy * step);
    return true;
  }

  space(event) {
    const { pointer, cursor } = this.desk;
    if (![$("#canvas"), document.body].includes(document.activeElement)) return false;
    if (cursor && !pointer.keyed) pointer.space = true; // the mouse drags the picture while Space is held
    else if (!event.repeat) pointer.press(event.shiftKey);
    return true;
  }

  /** Enter ends what the tool has begun; else the mask is accepted. */
  accept(event) {
    if (event?.key !== "Enter" || !this.desk.tool.finish()) this.desk.decide("accepted");
  }

  /** Ends what the tool has begun, as Enter does. */
  take() {
    this.desk.tool.finish();
    this.toPicture();
  }

  escape() {
    this.desk.pointer.cancel();
    this.toPicture();
  }

  /** Opens the menu of classes at the cross or the mouse. */
  menu() {
    const { desk } = this, { cursor, view } = desk;
    if (this.#pointed()) desk.page.menu(cursor, ...view.surface.toPage(...cursor));
  }

  /** Whether there is a region under the pointer; if not, there is a word about it. */
  #pointed() {
    const { desk } = this, isThere = desk.drawing && desk.cursor && desk.drawing.at(desk.cursor) !== null;
    if (!isThere) desk.say("Point at a region first, with the mouse or the arrow keys.");
    return isThere;
  }

  toList(selector) {
    this.page.showList(true);
    $(selector).focus();
  }

  /** Goes to the list of photographs; from there, back to the picture. */
  turnList() {
    if (this.page.listOpen) this.toPicture();
    else this.toList("#list");
  }

  toClasses() {
    if (this.desk.hasPhotograph()) $("#add-class").focus();
  }

  /** Adds the class with this name, or the only one that begins with it. */
  addClass(text) {
    const { desk } = this;
    if (!desk.hasPhotograph()) return;
    const wanted = text.trim().toLowerCase(), { classes, background } = desk.session;
    if (!wanted) return desk.say("Type the name of a class first.");
    const able = classes.filter(({ id }) => !(background && id === 0));
    const fits = able.filter(({ name }) => name.toLowerCase().startsWith(wanted));
    const found = able.find(({ name }) => name.toLowerCase() === wanted) ?? (fits.length === 1 ? fits[0] : null);
    if (!found) return desk.say(`${fits.length ? "Several classes begin" : "No class begins"} with "${text.trim()}".`);
    $("#add-class").value = "";
    desk.addClass(found.id);
    this.toPicture();
  }

  toPicture() {
    this.page.showList(false);
    $("#canvas").focus();
  }

  showHelp() { $("#help").showModal(); }
}
