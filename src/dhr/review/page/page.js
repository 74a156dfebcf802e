// What the desk tells the page: texts, warnings, and what has to be shown again.
import * as api from "./api.js";
import { $, el } from "./elements.js";
import * as panels from "./panels.js";

export class Page {
  desk = null;
  compare = null;

  /** A line for eyes and screen readers, until the next one. */
  say(text) { $("#said").textContent = text; }

  /** A line that stays until it is closed. */
  warn(text) {
    if ([...$("#banners").children].some((one) => one.querySelector("p")?.textContent === text)) return;
    const close = el("button", { type: "button" }, "Close"), line = el("div", { className: "banner", role: "alert" }, el("p", {}, text), close);
    close.addEventListener("click", () => line.remove());
    $("#banners").append(line);
  }

  /** A line in place of the picture. */
  empty(text) {
    $("#empty").textContent = text;
    $("#empty").hidden = false;
    $("#picture").classList.add("away");
  }

  opened() {
    const { drawing } = this.desk;
    if (drawing) {
      $("#empty").hidden = true;
      $("#picture").classList.remove("away");
      history.replaceState(null, "", `#${drawing.id}`);
      document.title = `${drawing.name} – dhr review`;
      this.say(`${drawing.name}: ${drawing.state}.`);
    }
    this.compare.opened();
    this.refresh();
  }

  refresh() {
    panels.showClasses(this.desk);
    panels.showFacts(this.desk);
    panels.showTool(this.desk);
    this.status();
  }

  status() {
    panels.showSaves(this.desk);
    const { trouble } = this.desk.saver;
    $("#lost").hidden = !trouble;
    if (!trouble) return;
    $("#lost-text").textContent = trouble instanceof api.Refused
      ? `Not saved: ${trouble.message}. What you drew is kept in this page, and saved as soon as that works.`
      : "The server does not answer. What you drew is kept in this page, and saved as soon as it answers. "
        + `If dhr review has ended, start it again with --port ${location.port}, and open the address that it prints.`;
  }

  menu(point, x, y) { panels.regionMenu(this.desk, point, x, y); }
  counted(counts) { panels.showCounts(counts); }
  conflicts(drawing) { panels.showConflict(this.desk, drawing); }
  pointed() { this.compare.draw(); }
  extra() { this.compare.draw(); }
}
