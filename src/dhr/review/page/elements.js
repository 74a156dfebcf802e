// Elements of the page. Text is always put in as text: names come from files of strangers.

const PROPERTIES = new Set(["className", "title", "alt", "decoding", "draggable", "type", "value", "hidden", "disabled", "tabIndex"]);

export const $ = (selector) => document.querySelector(selector);

/** A new element with properties, attributes and content: elements or text. */
export function el(tag, values = {}, ...content) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (PROPERTIES.has(name)) found[name] = value;
    else found.setAttribute(name, value);
  }
  found.append(...content);
  return found;
}

/** A symbol of the page's own set; it says nothing to a screen reader. */
export function icon(name) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  found.setAttribute("aria-hidden", "true");
  found.classList.add("icon");
  found.append(use);
  return found;
}

/** A number with separators of thousands. */
export const number = (value) => value.toLocaleString("en");

/** A small square of a colour. */
export function swatch(colour) {
  const found = el("span", { className: colour ? "swatch" : "swatch void", "aria-hidden": "true" });
  if (colour) found.style.backgroundColor = colour;
  return found;
}
