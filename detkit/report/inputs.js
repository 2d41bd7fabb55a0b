// Puts the page of the network's inputs together: one image at a time, chosen by keys or the mouse.

const data = JSON.parse(find("data").textContent);
const shown = new Set(LAYERS.filter(layer => layer.shown).map(layer => layer.id));
const state = {label: null, onlyUnreached: false, list: data.images, place: 0, chosen: null};

function listed() {
  return data.images.filter(image => image.objects.some(one => (
    (state.label === null || one.label === state.label) && (!state.onlyUnreached || isUnreached(one))))
    || (state.label === null && !state.onlyUnreached));
}

// Keeps the image that is shown, if it is still in the list.
function filter() {
  const before = state.list[state.place];
  state.list = listed();
  state.place = Math.max(0, state.list.indexOf(before));
  state.chosen = null;
  show();
}

function go(place) {
  const last = state.list.length - 1, wanted = Math.min(Math.max(place, 0), last);
  if (last < 0 || wanted === state.place) return;
  state.place = wanted;
  state.chosen = null;
  show();
}

function choose(index) {
  state.chosen = index;
  show();
}

function show() {
  const image = state.list[state.place];
  for (const id of ["view", "objects"]) find(id).hidden = !image;
  find("nothing").hidden = Boolean(image);
  find("place").textContent = image ? `${state.place + 1} / ${state.list.length}` : "0 / 0";
  find("previous").disabled = !image || state.place === 0;
  find("next").disabled = !image || state.place === state.list.length - 1;
  if (!image) return;
  const {width, height} = image, svg = find("svg"), frame = svg.parentNode;
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.maxWidth = `min(100%, ${70 * width / height}vh)`;  // the image is seen as a whole
  const picture = find("picture");
  if (picture.getAttribute("src") !== image.picture) picture.src = image.picture;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", `objects in ${image.id}`);
  find("overlay").replaceChildren(...overlayOf(image, shown, state.chosen, state.label, choose));
  find("caption").textContent = captionOf(image);
  // The table is made anew: the focus stays on the same row, for those who go by Tab and Enter.
  const focused = [...find("objects").querySelectorAll("button")].indexOf(document.activeElement);
  find("objects").replaceChildren(tableOf(image));
  if (focused >= 0) find("objects").querySelectorAll("button")[focused]?.focus();
}

function captionOf(image) {
  const objects = image.objects.filter(one => !one.ignored), ignored = image.objects.length - objects.length;
  const parts = [`${image.id}: ${image.width} x ${image.height} pixels, ${plural(objects.length, "object")}`];
  if (ignored) parts.push(plural(ignored, "ignored region"));
  if (data.has_anchors) {
    parts.push(plural(objects.reduce((sum, one) => sum + one.positives, 0), "matched anchor"));
    const unreached = objects.filter(isUnreached).length;
    if (unreached) parts.push(`${plural(unreached, "object")} ⚠ without an anchor of IoU ${data.least_iou}`);
  }
  return parts.join(", ");
}

function tableOf(image) {
  const heads = ["#", "class", "width", "height", ...(data.has_anchors ? ["anchors", "best IoU", "levels (0: finest)"] : []), ""];
  const rows = image.objects.map((one, index) => {
    const [x, y, right, bottom] = one.box, button = make("button", {type: "button"},
      make("span", {class: "swatch"}), data.class_names[one.label]);
    button.firstChild.style.background = colourOf(one);
    const numbers = [(right - x).toFixed(0), (bottom - y).toFixed(0)];
    if (data.has_anchors) {
      const levels = [...new Set((one.anchors || []).map(each => each.level))].sort((a, b) => a - b);
      numbers.push(...(one.ignored ? ["–", "–", "–"] : [one.positives, one.best.toFixed(2), levels.join(", ") || "–"]));
    }
    const note = one.ignored ? "ignored" : isUnreached(one) ? `⚠ ${one.positives ? `below IoU ${data.least_iou}` : "no anchor"}` : "";
    const row = make("tr", {"aria-selected": String(state.chosen === index)},
      make("td", {}, index + 1), make("td", {}, button), ...numbers.map(number => make("td", {}, number)),
      make("td", {class: isUnreached(one) ? "mark" : ""}, note));
    row.addEventListener("click", () => choose(state.chosen === index ? null : index));
    return row;
  });
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map(head => make("th", {scope: "col"}, head)))),
    make("tbody", {}, ...rows));
}

// The buttons of the layers that some image has; a key does the same as its button.
function layers() {
  const objects = data.images.flatMap(image => image.objects);
  for (const layer of LAYERS.filter(({needs}) => !needs || objects.some(needs))) {
    const button = make("button", {type: "button", "aria-pressed": String(shown.has(layer.id)), id: `layer-${layer.id}`},
      layer.name, " ", make("kbd", {}, layer.key));
    const flip = () => {
      if (!shown.delete(layer.id)) shown.add(layer.id);
      button.setAttribute("aria-pressed", String(shown.has(layer.id)));
      show();
    };
    button.addEventListener("click", flip);
    onKey([layer.key], `show or hide ${layer.name}`, flip);
    find("layers").append(button);
  }
}

function classes() {
  const choice = find("class"), count = data.class_names.length;
  choice.append(make("option", {value: ""}, "any"), ...data.class_names.map((name, label) => {
    const images = data.images.filter(image => image.objects.some(one => one.label === label)).length;
    return make("option", {value: label}, `${name} (${plural(images, "image")})`);
  }));
  const set = index => {
    choice.selectedIndex = (index + count + 1) % (count + 1);
    state.label = choice.value === "" ? null : Number(choice.value);
    filter();
  };
  choice.addEventListener("change", () => {
    set(choice.selectedIndex);
    choice.blur();  // the arrows are for the images again
  });
  onKey(["c"], "only images with the next class", () => set(choice.selectedIndex + 1));
  onKey(["C"], "only images with the previous class", () => set(choice.selectedIndex - 1));
  onKey(["x"], "images with any class", () => set(0));
}

function unreached() {
  const box = find("unreached"), set = () => {
    state.onlyUnreached = box.checked;
    filter();
  };
  find("only-unreached").hidden = !data.has_anchors;
  box.addEventListener("change", set);
  if (data.has_anchors) {
    onKey(["w"], `only images with an object that no anchor reaches at IoU ${data.least_iou}, marked ⚠`, () => {
      box.checked = !box.checked;
      set();
    });
  }
}

function moves() {
  const step = by => () => go(state.place + by);
  onKey(["ArrowRight", "j"], "next image", step(1));
  onKey(["ArrowLeft", "k"], "previous image", step(-1));
  onKey(["Home", "g"], "first image", () => go(0));
  onKey(["End", "G"], "last image", () => go(state.list.length - 1));
  find("next").addEventListener("click", step(1));
  find("previous").addEventListener("click", step(-1));
}

function objectKeys() {
  const turn = by => () => {
    const count = state.list.length ? state.list[state.place].objects.length : 0;
    if (count) choose(state.chosen === null ? (by > 0 ? 0 : count - 1) : (state.chosen + by + count) % count);
  };
  onKey(["o"], "choose the next object: it stands out, with its own anchors", turn(1));
  onKey(["O"], "choose the object before", turn(-1));
  onKey(["Escape"], "choose no object", () => choose(null));
}

document.title = find("title").textContent = data.title;
find("about").textContent = data.about;
for (const part of [moves, classes, unreached, layers, objectKeys, theme]) part();
onKey(["d"], "dark or light", () => find("theme").click());
listenToKeys();
show();
