// Makes elements. A text of the data gets in as a text node, never as HTML.

const find = id => document.getElementById(id);

// The page contains no address, not even that of SVG's names, which the parser knows.
const SVG = find("svg").namespaceURI;

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

// A share as a percentage; what is not known is a dash.
const percent = (share, digits = 1) => (known(share) ? (100 * share).toFixed(digits) : "–");
const known = value => typeof value === "number" && Number.isFinite(value);
const count = value => (known(value) ? Math.round(value).toLocaleString("en") : "–");
const signed = (share, digits = 1) => (share >= 0 ? "+" : "−") + percent(Math.abs(share), digits);
const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

// Okabe and Ito's colours, which people with any colour vision can tell apart, and dashes for more.
const COLOURS = ["ink", "blue", "orange", "green", "pink", "sky", "red", "yellow"].map(name => `var(--${name})`);
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const colour = index => COLOURS[index % COLOURS.length];
const dash = index => DASHES[Math.floor(index / COLOURS.length) % DASHES.length];

// A button that is pressed or not, with a sample of the line that it shows or hides.
function toggle(name, style, pressed, change) {
  const line = draw("svg", {width: 26, height: 10, "aria-hidden": "true"},
    draw("line", {x1: 1, y1: 5, x2: 25, y2: 5, stroke: style.colour, "stroke-dasharray": style.dash, "stroke-width": 3}));
  const button = make("button", {type: "button", "aria-pressed": String(pressed)}, line, name);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
}
