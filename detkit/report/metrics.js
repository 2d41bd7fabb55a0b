// What was judged, the metrics of all runs with their differences, and the classes at the threshold.

const TITLES = {
  AP: "mean over the IoU thresholds 0.5 to 0.95", AP50: "at an IoU of 0.5", AP75: "at an IoU of 0.75",
  APs: "objects below 32 x 32 pixels", APm: "objects up to 96 x 96 pixels", APl: "larger objects",
  AR100: "mean recall of 100 detections of an image",
};
const BRACKETS = " Brackets hold 95 % of the differences in random samples of the images, with replacement: if 0 lies within "
  + "them, these images do not tell the runs apart.";
const RULE = {voc: "VOC", coco: "COCO"};

function judged() {
  const {run} = state;
  find("judged").textContent = `${run.name} on data.${run.split}: ${plural(run.images, "image")}, `
    + `${plural(run.objects, "object")}${run.difficult ? ` and ${count(run.difficult)} that do not count (difficult objects, crowds)` : ""}, `
    + `${count(run.classes.length)} ${run.classes.length === 1 ? "class" : "classes"}. Curves and thresholds are by ${RULE[run.rule]}'s rule at an IoU of 0.5.`;
}

function metricsTable() {
  const several = data.runs.length > 1;
  const rows = [];
  for (const rule of ["voc", "coco"]) {
    for (const name of Object.keys(data.runs[0].metrics[rule] || {})) {
      rows.push([make("span", {title: TITLES[name]}, `${RULE[rule]} ${name}`), ...data.runs.flatMap((run, index) => {
        const value = (run.metrics[rule] || {})[name];
        const cells = [percent(value)];
        return index ? [...cells, difference(index, rule, name, value)] : cells;
      })]);
    }
  }
  const heads = data.runs.flatMap((run, index) => (index ? [run.name, `difference from ${data.runs[0].name}`] : [run.name]));
  find("metrics-table").append(plain(["%", ...heads], rows, "Average precision and recall"));
  find("about-differences").textContent = several
    ? `Differences are in points from the first run.${data.differences.some(Boolean) ? BRACKETS : ""}`
    : "";
}

function difference(index, rule, name, value) {
  const first = (data.runs[0].metrics[rule] || {})[name];
  if (!known(first) || !known(value)) return "–";
  const interval = ((data.differences[index] || {})[rule] || {})[name];
  if (!interval) return signed(value - first);
  const range = `${signed(interval.difference)} [${signed(interval.low)}, ${signed(interval.high)}]`;
  const apart = interval.low > 0 || interval.high < 0;
  return make(apart ? "strong" : "span", {title: `${interval.repeats} samples of ${interval.images} images`}, range);
}

// --- Classes -------------------------------------------------------------------------------------

const CLASS_COLUMNS = [
  {name: "class", value: row => row.name, text: row => row.name, first: "up"},
  ...[["AP %", "ap"], ["AP50 %", "ap50"]].map(([name, key]) => (
    {name, value: row => row[key], text: row => percent(row[key]), first: "down"})),
  {name: "objects", value: row => row.objects, text: row => count(row.objects), first: "down"},
  {name: "detections", value: row => row.detections, text: row => count(row.detections), first: "down"},
  ...[["precision %", "precision"], ["recall %", "recall"], ["F1 %", "f1"]].map(([name, key]) => (
    {name, value: row => row[key], text: row => percent(row[key]), first: "down"})),
  {name: "best F1 %", value: row => row.best, text: row => percent(row.best), first: "down", title: "at the threshold in the next column"},
  {name: "at", value: row => row.bestAt, text: row => (known(row.bestAt) ? row.bestAt.toFixed(2) : "–"), first: "down",
    title: "the threshold of the best F1"},
];

function classesTable() {
  const table = sortable(CLASS_COLUMNS, "Classes at the threshold");
  const filter = find("filter");
  find("classes-table").append(table.element);
  function show() {
    const wanted = filter.value.trim().toLowerCase();
    const chosen = state.run.classes.filter(({name}) => name.toLowerCase().includes(wanted));
    table.show(chosen.map(one => {
      const curve = curveOf(state.run, one.name), best = one.best_f1 || {};
      return {...one, ...(curve ? at(curve, state.threshold) : {}), best: best.f1, bestAt: best.threshold};
    }));
    find("filtered").textContent = wanted ? `${chosen.length} of ${state.run.classes.length}` : "";
  }
  filter.addEventListener("input", show);
  onThreshold.push(show);
}
