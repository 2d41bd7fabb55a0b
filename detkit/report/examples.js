// Example images with their objects and detections, as boxes over the picture.

const KINDS = {best: "Best images", worst: "Worst images", confused: "Most confused images"};
const BOXES = {  // in the order that they are drawn in
  found: {name: "object, found", colour: "var(--box-found)", dash: ""},
  difficult: {name: "object that does not count", colour: "var(--box-difficult)", dash: "1 3"},
  missed: {name: "object, missed", colour: "var(--box-missed)", dash: "2 3"},
  hit: {name: "hit", colour: "var(--box-hit)", dash: ""},
  alarm: {name: "false alarm", colour: "var(--box-alarm)", dash: "8 4"},
};

// The indices of the objects that the hits from a threshold find.
const foundObjects = (example, threshold) => new Set(
  example.detections.filter(one => one.hit && one.score >= threshold).map(one => one.object));

const atChoice = () => shownThreshold(state.run.threshold);

function exampleImages() {
  const shown = new Set(["difficult", "missed", "hit", "alarm"]);
  let names = false, figures = [];
  find("boxes-legend").append(
    ...Object.entries(BOXES).map(([kind, style]) => toggle(style.name, style, shown.has(kind), now => {
      if (now) shown.add(kind);
      else shown.delete(kind);
      changed(figures);
    })),
    make("label", {}, make("input", {type: "checkbox", id: "names", onchange: event => {
      names = event.target.checked;
      changed(figures);
    }}), " names of classes"));

  onRun.push(() => {
    figures = [];
    const groups = Object.entries(KINDS).map(([kind, title]) => [title, state.run.examples.filter(one => one.kind === kind)]);
    const wanted = groups.filter(([, examples]) => examples.length);
    find("about-examples").textContent = wanted.length
      ? "Boxes follow the threshold. Point at a box to read its class and score. The images were "
        + `chosen and ordered at the threshold ${atChoice()}.`
      : "This page has no example images.";
    find("boxes-legend").hidden = !wanted.length;
    find("pictures").replaceChildren(...wanted.flatMap(([title, examples]) => [
      make("h3", {}, title), make("div", {class: "gallery"}, ...examples.map(figure))]));
  });
  onThreshold.push(() => changed(figures));

  function figure(example) {
    const {width, height} = example;
    const overlay = draw("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `boxes in ${example.image_id}`});
    const caption = make("figcaption");
    const picture = data.pictures[example.image_id];
    const image = picture ? [make("img", {src: picture, alt: "", width, height})] : [];
    const frame = make("div", {class: "frame"}, ...image, overlay);
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.maxWidth = `${24 * width / height}rem`;  // a tall picture is no taller than others
    figures.push(() => boxesOf(example, overlay, caption));
    return make("figure", {}, frame, caption);
  }

  function boxesOf(example, overlay, caption) {
    const found = foundObjects(example, state.threshold);
    const detections = example.detections.filter(one => one.score >= state.threshold);
    const objects = example.objects.map((one, index) => (
      [one.difficult ? "difficult" : found.has(index) ? "found" : "missed", one]));
    const boxes = [...objects, ...detections.map(one => [one.hit ? "hit" : "alarm", one])];
    const order = Object.keys(BOXES);
    boxes.sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
    overlay.replaceChildren(...boxes.filter(([kind]) => shown.has(kind)).map(([kind, one]) => rectangle(kind, one, example)));
    const hits = detections.filter(one => one.hit).length, counted = example.objects.filter(one => !one.difficult).length;
    caption.textContent = `${example.image_id}: ${found.size} of ${plural(counted, "object")} found, ${plural(detections.length - hits, "false alarm")}`;
  }

  function rectangle(kind, {box, label, score}, example) {
    const [x, y, right, bottom] = box, style = BOXES[kind];
    const size = {x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y)};
    const name = `${data.class_names[label]}${score === undefined ? "" : ` ${score.toFixed(2)}`}`;
    const text = Math.max(example.width, example.height) / 28;
    const group = draw("g", {class: `box ${kind}`}, draw("title", {}, `${style.name}: ${name}`),
      draw("rect", {class: "halo", ...size}),
      draw("rect", {...size, stroke: style.colour, "stroke-dasharray": style.dash}));
    if (names && kind !== "found") {
      group.append(draw("text", {x: x + 2, y: Math.max(y - 3, text), "font-size": text, fill: style.colour}, name));
    }
    return group;
  }
}
