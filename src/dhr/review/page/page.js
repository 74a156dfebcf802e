// What the desk tells the page: texts, warnings, and what has to be shown again.
import * as api from "./api.js";
import { $, el } from "./elements.js";
import * as panels from "./panels.js";

export class Page {
  desk = null;
  compare = null;

  /** A line for eyes and screen readers, until the next one. */
  say(text) { $("#said").textContent = text; }

  /** A line that stays until it is closed, or until the photograph that it is about is saved. */
  warn(text, about = null) {
    if ([...$("#banners").children].some((one) => one.querySelector("p")?.textContent === text)) return;
    const close = el("button", { type: "button" }, "Close"), line = el("div", { className: "banner", role: "alert", "data-about": about?.id ?? "" }, el("p", {}, text), close);
    close.addEventListener("click", () => {
      line.remove();
      $("#canvas").focus(); // the button had the focus
    });
    $("#banners").append(line);
  }

  /** Takes back warnings about a photograph that is saved now. */
  settled({ id }) {
    for (const line of document.querySelectorAll(`[data-about="${id}"]`)) line.remove();
  }

  get remedy() { return `If dhr review has ended, start it again with --port ${location.port}, and open the address that it prints.`; }

  /** A line in place of the picture. */
  empty(text) {
    $("#empty").textContent = text;
    $("#empty").hidden = false;
    $("#picture").classList.add("away");
  }

  get listOpen() { return document.body.classList.contains("queue-open"); }

  /** Notes that the list is in use; a narrow page shows it only then. */
  showList(open) {
    document.body.classList.toggle("queue-open", open);
    $("[data-command=list]").setAttribute("aria-expanded", String(open));
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
        + this.remedy;
  }

  chosen() { panels.revealClass(); }
  menu(point, x, y) { panels.regionMenu(this.desk, point, x, y); }
  counted(counts) { panels.showCounts(counts); }
  conflicts(drawing) { panels.showConflict(this.desk, drawing); }
  pointed(to) {
    panels.showHere(this.desk, to);
    this.compare.draw();
  }

  /** Buttons for what a tool has begun: fingers have no Enter key. */
  pending(begun) { $("#pending").hidden = !begun; }

  extra() { this.compare.draw(); }
}
