// What the page shows: a run and a threshold. Everything that depends on them is a function here.

const data = JSON.parse(find("data").textContent);
const state = {run: data.runs[0], threshold: 0.5};
const onRun = [], onThreshold = [];  // functions that draw; the second are called after the first

let drawn = true;
function changed(list) {
  for (const view of list) view();
}
function setRun(index) {
  state.run = data.runs[index];
  changed(onRun);
  changed(onThreshold);
}
// Moves the threshold, whose digits are those of the scores. What depends on it is drawn once for
// each picture of the screen.
function setThreshold(value) {
  if (!known(value)) return;
  state.threshold = Math.min(1, Math.max(0, Math.round(value * 1e5) / 1e5));
  if (!drawn) return;
  drawn = false;
  requestAnimationFrame(() => {
    drawn = true;
    changed(onThreshold);
  });
}

// Two digits if the threshold has no more, otherwise three.
const shownThreshold = value => value.toFixed(Math.abs(100 * value - Math.round(100 * value)) < 1e-9 ? 2 : 3);

// The figures of a curve at a threshold: those of its last point that reaches it.
function at(curve, threshold) {
  let low = 0, high = curve.scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (curve.scores[middle] >= threshold) low = middle + 1;
    else high = middle;
  }
  return figures(curve, low - 1);
}
// The figures of a point of a curve; -1 is the point without detections.
function figures(curve, index) {
  const hits = index < 0 ? 0 : curve.hits[index], detections = index < 0 ? 0 : curve.detections[index];
  const sum = detections + curve.objects;
  return {
    hits, detections,
    precision: detections ? hits / detections : null,
    recall: curve.objects ? hits / curve.objects : null,
    f1: curve.objects ? 2 * hits / sum : null,
  };
}
const curveOf = (run, name) => run.curves.find(curve => curve.name === name && !curve.all);
const allOf = run => run.curves.find(curve => curve.all);

// The score that was chosen for a detector, by detkit test --threshold; undefined if there is none.
const chosenThreshold = run => ((run.about || {}).threshold || {}).score;

// The threshold of the highest F1 of all classes together.
function bestThreshold(run) {
  const curve = allOf(run);
  let best = 0.5, most = -1;
  curve.scores.forEach((score, index) => {
    const {f1} = figures(curve, index);
    if (known(f1) && f1 > most) [best, most] = [score, f1];
  });
  return best;
}

// The confusion matrix, [truth][detected], at the nearest of its thresholds, and that threshold.
function matrixAt(run, threshold) {
  const {thresholds, cells} = run.confusion, size = run.classes.length + 1;
  let nearest = 0;
  thresholds.forEach((value, index) => {
    if (Math.abs(value - threshold) < Math.abs(thresholds[nearest] - threshold)) nearest = index;
  });
  const counts = Array.from({length: size}, () => new Array(size).fill(0));
  const flat = cells[nearest];
  for (let i = 0; i < flat.length; i += 3) counts[flat[i]][flat[i + 1]] = flat[i + 2];
  return {threshold: thresholds[nearest], counts};
}
