// What is drawn over an image: its objects with their masks and keypoints, and their anchors.

const LAYERS = [  // key, name, what is drawn beside the name, whether it is shown at first
  {key: "b", id: "boxes", name: "boxes", shown: true},
  {key: "m", id: "masks", name: "masks", shown: true, needs: one => one.outlines.length},
  {key: "p", id: "points", name: "keypoints", shown: true, needs: one => one.points.some(point => point[2] > 0)},
  {key: "i", id: "ignored", name: "ignored regions (hatched)", shown: true, needs: one => one.ignored},
  {key: "n", id: "names", name: "names", shown: true},
  {key: "a", id: "anchors", name: "matched anchors (dashed yellow)", shown: false, needs: one => one.positives !== undefined},
];

const isUnreached = one => !one.ignored && one.best !== undefined && (!one.positives || one.best < data.least_iou);
const colourOf = one => data.colours[one.label];

function rectangle(box, attributes) {
  const [x, y, right, bottom] = box;
  return draw("rect", {x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y), ...attributes});
}

// The elements of an image's overlay. shown: the ids of the layers. chosen: the index of an object
// that stands out, or null; choose(index) is called by a click. label: the class that stands out.
function overlayOf(image, shown, chosen, label, choose) {
  const size = Math.max(image.width, image.height) / 45, parts = {boxes: [], anchors: [], names: []};
  image.objects.forEach((one, index) => {
    if (one.ignored && !shown.has("ignored")) return;
    const stands = chosen === null ? label === null || one.label === label : chosen === index;
    const kinds = [one.ignored ? "ignored" : "object", ...(chosen === index ? ["chosen"] : []), ...(stands ? [] : ["faded"])];
    const group = draw("g", {class: kinds.join(" "), "data-index": index});
    group.append(draw("title", {}, titleOf(one)));
    if (shown.has("masks") && one.outlines.length) {
      const path = one.outlines.map(line => `M${line.join(" ")}Z`).join("");
      group.append(draw("path", {class: "outline", d: path, fill: colourOf(one), stroke: colourOf(one)}));
    }
    if (one.ignored) group.append(rectangle(one.box, {fill: "url(#hatch)", class: "hatched"}));
    if (shown.has("boxes") || one.ignored) {
      group.append(rectangle(one.box, {class: "halo"}), rectangle(one.box, {class: "line", stroke: colourOf(one)}));
    }
    if (shown.has("points")) group.append(...pointsOf(one, size / 4));
    const hit = rectangle(one.box, {class: "hit"});
    hit.addEventListener("click", () => choose(chosen === index ? null : index));
    group.append(hit);
    parts.boxes.push([areaOf(one.box), group]);
    if (stands && (shown.has("anchors") || chosen === index)) parts.anchors.push(...anchorsOf(one));
    if (stands && shown.has("names")) parts.names.push(nameOf(one, image, size));
  });
  // Small objects lie over large ones, so that each can be clicked.
  parts.boxes.sort((a, b) => b[0] - a[0]);
  return [...parts.boxes.map(([, group]) => group), ...parts.anchors, ...parts.names];
}

const areaOf = ([x, y, right, bottom]) => (right - x) * (bottom - y);

function titleOf(one) {
  const name = data.class_names[one.label];
  if (one.ignored) return `${name}: ignored, neither an object nor background`;
  if (one.best === undefined) return name;
  return `${name}: ${plural(one.positives, "anchor")}, best IoU ${one.best.toFixed(2)}`;
}

function anchorsOf(one) {
  return (one.anchors || []).flatMap(({box}) => [rectangle(box, {class: "anchor-halo"}), rectangle(box, {class: "anchor"})]);
}

// A visible keypoint is filled, a hidden one is a ring.
function pointsOf(one, radius) {
  return one.points.filter(([, , flag]) => flag > 0).map(([cx, cy, flag]) => draw("circle", {
    cx, cy, r: radius, fill: flag > 1 ? colourOf(one) : "none", class: flag > 1 ? "seen" : "hidden-point",
  }));
}

function nameOf(one, image, size) {
  const [x, y] = one.box, warns = isUnreached(one);
  const name = data.class_names[one.label].slice(0, 40) + (one.ignored ? " (ignored)" : "");
  const text = draw("text", {"font-size": size, class: warns ? "warning" : "", fill: one.ignored ? "#fff" : colourOf(one)}, `${warns ? "⚠ " : ""}${name}`);
  const width = 0.62 * size * text.textContent.length;  // about that of the letters
  text.setAttribute("x", Math.max(0, Math.min(x + size / 8, image.width - width)));
  text.setAttribute("y", y > size ? y - 0.25 * size : Math.min(y + size, image.height - size / 8));
  return text;
}
