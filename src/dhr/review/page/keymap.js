// Which key does what, in the words of the help panel.
import { VOID } from "./drawing.js";

const DIGITS = Array.from({ length: 10 }, (_, i) => String(i));
const ARROWS = [["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]];

const WITHOUT_SAM = "Click (C) needs SAM, and this run was made without it: dhr run with --boundary.kind sam uses it.";

const command = (name, keys, label, run, more = {}) => ({ name, keys, label, run, ...more });

const decisions = (desk, actions) => ["Decide", [
  command("accept", ["a", "Enter"], "The mask is right: accept it, and go on", (event) => actions.accept(event)),
  command("reject", ["x"], "Reject: wrong tags, or a useless photograph", () => desk.decide("rejected")),
  command("skip", ["s"], "Skip: decide later", () => desk.decide("skipped")),
  command("withdraw", ["u"], "Back to the machine's mask, undecided", () => desk.withdraw()),
  command("next", ["j", "n"], "Next photograph", () => desk.go(1)),
  command("previous", ["k", "p"], "Previous photograph", () => desk.go(-1)),
]];

function drawing(desk, actions, tools) {
  const tool = (name, key, label) => command(name, [key], label, () => actions.pick(name, label));
  return ["Draw", [
    tool("brush", "b", "Brush"),
    tool("eraser", "e", "Eraser: back to the machine's mask"),
    tool("fill", "f", "Fill: give the connected region to the class"),
    tool("polygon", "l", "Polygon: click its corners, or draw around"),
    ...(tools.superpixels ? [tool("superpixels", "g", "Superpixels: give whole cells to the class")] : []),
    tools.sam ? tool("click", "c", "Click: SAM finds the region; Alt takes away") : command("click", ["c"], "Click", () => desk.say(WITHOUT_SAM), { hidden: true }),
    command("smaller", ["["], "Smaller brush", () => actions.resize(-1)),
    command("larger", ["]"], "Larger brush", () => actions.resize(1)),
    command("undo", ["Ctrl+z"], "Undo", () => desk.undo()),
    command("redo", ["Ctrl+Shift+z", "Ctrl+y"], "Redo", () => desk.undo(false)),
    ...(tools.refine ? [command("refine", ["r"], "Refine again: what you drew stays, the method makes the rest", () => desk.computed.refine())] : []),
    command("back", ["Backspace"], "Remove the last corner of the polygon", () => desk.tool.back()),
    command("take", [], "Take the region (Enter)", () => actions.take()),
    command("escape", ["Escape"], "Cancel a polygon or a click that is not finished", () => actions.escape()),
    ...ARROWS.map(([key, dx, dy], i) => command(key, [key], "Move the cross on the picture; with Shift by one pixel",
      (event) => actions.arrow(event, dx, dy), { hidden: i > 0, keysShown: ["←", "→", "↑", "↓"] })),
    command("press", [" "], "Use the tool at the cross; with the mouse: hold it to drag the picture", (event) => actions.space(event)),
  ]];
}

const classes = (desk, actions) => ["Classes", [
  ...DIGITS.map((digit) => command(`class-${digit}`, [digit], "Choose a class; 0 is the background",
    () => actions.choose(digit), { hidden: digit !== "1", keysShown: ["1 … 9", "0"] })),
  ...DIGITS.map((digit) => command(`give-${digit}`, [`Shift+${digit}`], "Give the region under the pointer to this class",
    () => actions.give(digit), { hidden: digit !== "1", keysShown: ["Shift 1 … 9"] })),
  command("menu", ["y"], "Menu: give the region under the pointer to a class", () => actions.menu()),
  command("void", ["v"], "Void: pixels without a class", () => desk.choose(VOID)),
  command("class-before", [","], "Class before", () => actions.turnClass(-1)),
  command("class-after", ["."], "Class after", () => actions.turnClass(1)),
  command("add", ["t"], "Add a class to the photograph", () => actions.toClasses()),
  command("remove", ["d"], "Remove the chosen class from the photograph", () => desk.removeClass(desk.value)),
]];

const looks = (desk, actions) => ["Look", [
  command("zoom-in", ["+", "="], "Zoom in", () => desk.view.zoom(1.25, desk.cursor ?? undefined)),
  command("zoom-out", ["-"], "Zoom out", () => desk.view.zoom(0.8, desk.cursor ?? undefined)),
  command("fit", ["z"], "Whole photograph", () => desk.view.fit()),
  command("mask", ["m"], "Mask on or off", () => actions.mask()),
  command("style", ["o"], "Fill, outlines, or both", () => actions.style()),
  command("clearer", ["{"], "Clearer mask", () => actions.dense(-0.1)),
  command("denser", ["}"], "Denser mask", () => actions.dense(0.1)),
  command("compare", ["w"], "Second picture beside the first", () => actions.beside()),
  command("layer", ["q"], "Second picture: next layer", () => actions.layer()),
]];

const places = (desk, actions) => ["Page", [
  command("list", ["i"], "To the list of photographs, and back", () => actions.turnList()),
  command("search", ["/"], "Search by name", () => actions.toList("#search")),
  command("picture", ["h"], "To the picture", () => actions.toPicture()),
  command("help", ["?"], "This help", () => actions.showHelp()),
]];

export const keymap = (desk, actions) => [
  decisions(desk, actions), drawing(desk, actions, desk.session.tools), classes(desk, actions), looks(desk, actions), places(desk, actions),
];
