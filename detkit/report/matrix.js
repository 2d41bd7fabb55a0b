// The confusion matrix at the threshold. Of many classes, those with the most errors are shown.

const MOST_SHOWN = 20, MOST_PAIRS = 10, LARGEST = 100;

function confusionMatrix() {
  const size = find("matrix-size");
  function choices() {
    const classes = state.run.classes.length;
    const sizes = [10, MOST_SHOWN, 40].filter(number => number < classes);
    if (classes <= LARGEST) sizes.push(classes);
    size.replaceChildren(...sizes.map(number => make("option", {value: number, selected: number === Math.min(classes, MOST_SHOWN)},
      number === classes ? `all ${number}` : `the ${number} with the most errors`)));
    find("matrix-choice").hidden = sizes.length < 2;
  }
  function show() {
    const {threshold, counts} = matrixAt(state.run, state.threshold);
    const grouped = group(counts, state.run.classes.map(one => one.name), Number(size.value));
    find("matrix").replaceChildren(matrixTable(grouped));
    find("about-confusion").textContent = `Rows are objects, columns are detections. An object and a detection of any classes belong `
      + `together from an IoU of ${state.run.confusion.iou}. Counted at the threshold ${shownThreshold(threshold)}`
      + `${Math.abs(threshold - state.threshold) > 1e-5 ? ", the nearest one that was counted" : ""}.`;
    pairs(counts);
  }
  function pairs(counts) {
    const names = state.run.classes.map(one => one.name), found = [];
    names.forEach((truth, row) => names.forEach((detected, column) => {
      if (row !== column && counts[row][column]) found.push([counts[row][column], truth, detected]);
    }));
    found.sort((a, b) => b[0] - a[0]);
    const items = found.slice(0, MOST_PAIRS).map(([number, truth, detected]) => (
      make("li", {}, make("b", {}, truth), " detected as ", make("b", {}, detected), `: ${count(number)}`)));
    find("confused-pairs").replaceChildren(...(items.length ? items : [make("li", {class: "none"}, "None at this threshold.")]));
  }
  size.addEventListener("change", show);
  onRun.push(choices);
  onThreshold.push(show);
}

// Keeps the classes with the most errors between classes, and adds the others up into one.
function group(counts, names, most) {
  const classes = names.length, sum = list => list.reduce((a, b) => a + b, 0);
  if (most >= classes) return {names, counts, others: 0};
  const wrong = names.map((_, label) => sum(counts[label].slice(0, classes)) + sum(counts.slice(0, classes).map(row => row[label]))
    - 2 * counts[label][label]);
  const total = names.map((_, label) => sum(counts[label]));
  const ranked = names.map((_, label) => label).sort((a, b) => wrong[b] - wrong[a] || total[b] - total[a]);
  const kept = ranked.slice(0, most).sort((a, b) => a - b);
  const place = new Map(kept.map((label, index) => [label, index]));
  const to = label => (label === classes ? most + 1 : place.has(label) ? place.get(label) : most);
  const grouped = Array.from({length: most + 2}, () => new Array(most + 2).fill(0));
  counts.forEach((row, truth) => row.forEach((value, detected) => {
    if (value) grouped[to(truth)][to(detected)] += value;
  }));
  return {names: [...kept.map(label => names[label]), `${classes - most} others`], counts: grouped, others: 1};
}

function matrixTable({names, counts, others}) {
  const last = names.length, sum = list => list.reduce((a, b) => a + b, 0);
  const head = make("tr", {}, make("th", {scope: "col"}, "object \\ detection"),
    ...names.map(name => make("th", {scope: "col"}, make("span", {title: name}, name))),
    ...["missed", "sum"].map(text => make("th", {scope: "col"}, make("span", {}, text))));
  const rows = counts.map((row, truth) => {
    const total = sum(row);
    const cells = row.map((value, detected) => cell(value, total, truth, detected));
    return make("tr", {}, make("th", {scope: "row", title: names[truth]}, truth === last ? "background" : names[truth]), ...cells,
      make("td", {class: "sum"}, count(total)));
  });
  const sums = make("tr", {class: "sum"}, make("th", {scope: "row"}, "sum"),
    ...counts.map((_, column) => make("td", {}, count(sum(counts.map(row => row[column]))))), make("td", {}));
  return make("table", {class: last > 8 ? "matrix large" : "matrix"}, make("caption", {}, "Objects by the class of their detection"),
    make("thead", {}, head), make("tbody", {}, ...rows, sums));

  function cell(value, total, truth, detected) {
    if (truth === last && detected === last) return make("td", {class: "none"}, "");
    const kind = truth !== detected ? "wrong" : others && truth === last - 1 ? "mixed" : "right";
    const node = make("td", {class: kind, title: `${percent(total ? value / total : null)} % of the row`},
      value ? count(value) : "");
    node.style.setProperty("--share", total ? value / total : 0);
    return node;
  }
}
