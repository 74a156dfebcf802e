"use strict";

// Search, filters and order. Without this script the page shows everything, worst first.
for (const tools of document.querySelectorAll("form.tools")) {
  const list = document.getElementById(tools.dataset.list);
  const items = [...list.querySelectorAll(tools.dataset.items)];
  const keys = items.map((item) => (item.querySelector("h3") ?? item).textContent.toLowerCase());
  const pick = (name) => tools.elements[name]?.value ?? "";
  const has = (item, key, value) => (item.dataset[key] ?? "").split(" ").includes(value);
  const fits = (item, place) => {
    const [words, kind, state] = [pick("search").toLowerCase().split(/\s+/), pick("class"), pick("state")];
    return words.every((word) => keys[place].includes(word) || (item.dataset.also ?? "").toLowerCase().includes(word))
      && (!kind || has(item, state === "gone" ? "gone" : "classes", kind))
      && (!state || item.dataset[state] !== undefined);
  };
  const show = () => {
    let shown = 0;
    items.forEach((item, place) => { shown += !(item.hidden = !fits(item, place)); });
    tools.querySelector("output").textContent =
      shown ? `${shown} of ${items.length} shown` : "Nothing on this page fits. Change the search or the filters.";
  };
  const sort = () => {
    const number = (item, key) => Number(item.dataset[key] ?? "Infinity");
    const ways = {
      first: (a, b) => items.indexOf(a) - items.indexOf(b),
      last: (a, b) => items.indexOf(b) - items.indexOf(a),
      quality: (a, b) => number(a, "quality") - number(b, "quality"),
      changed: (a, b) => Number(b.dataset.changed ?? 0) - Number(a.dataset.changed ?? 0),
      name: (a, b) => keys[items.indexOf(a)].localeCompare(keys[items.indexOf(b)], undefined, { numeric: true }),
    };
    list.append(...[...items].sort(ways[pick("sort")]));
  };
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", show);
  tools.addEventListener("reset", () => setTimeout(() => { show(); if (tools.elements.sort) sort(); }));
  tools.elements.sort?.addEventListener("change", sort);
  tools.hidden = false;
  show();
}

// Zoom. One picture of each group can be reached with Tab; the arrow keys lead to the others.
const zoom = document.createElement("dialog");
zoom.className = "zoom";
zoom.innerHTML =
  '<figure><img alt=""><figcaption aria-live="polite"></figcaption></figure><p>'
  + '<button type="button" value="-1">\u2039 Previous</button><button type="button" class="close">Close</button>'
  + '<button type="button" value="1">Next \u203a</button></p>';
document.body.append(zoom);
let group = [], at = 0;
const turn = (step) => {
  at = (at + step + group.length) % group.length;
  const [small, large] = [group[at], zoom.querySelector("img")];
  large.src = small.src;
  large.alt = small.alt;
  large.style.setProperty("--most", `${4 * small.naturalWidth}px`);
  large.style.setProperty("--ratio", small.naturalWidth / small.naturalHeight);
  zoom.querySelector("figcaption").textContent = group.length > 1 ? `${small.alt} (${at + 1} of ${group.length})` : small.alt;
};
const open = (picture) => {
  group = [...picture.closest("article, .panel").querySelectorAll("img")].filter((one) => one.checkVisibility?.() ?? true);
  at = group.indexOf(picture);
  for (const button of zoom.querySelectorAll("button[value]")) button.hidden = group.length < 2;
  turn(0);
  zoom.showModal();
  zoom.querySelector(".close").focus();
};
zoom.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.value) turn(Number(button.value));
  else if (button || event.target === zoom) zoom.close();
});
zoom.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") turn(event.key === "ArrowLeft" ? -1 : 1);
});
for (const around of document.querySelectorAll("article, .panel")) {
  const first = around.querySelector("img");
  if (!first) continue;
  first.tabIndex = 0;
  first.setAttribute("role", "button");
  first.setAttribute("aria-label", `Enlarge: ${first.alt}`);
  first.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(first); }
  });
  around.classList.add("zooms");
  around.addEventListener("click", (event) => { if (event.target.matches("img")) open(event.target); });
}
