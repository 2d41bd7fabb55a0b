// Precision, recall and F1 of classes and of runs.

const UNIT = label => ({label, low: 0, high: 1});
const MOST_LINES = 8;  // that are drawn at first

// The points of a curve: x and y are names of its figures, or "threshold".
function pointsOf(curve, x, y) {
  const points = curve.scores.map((score, index) => {
    const all = {...figures(curve, index), threshold: score};
    return [all[x], all[y]];
  });
  return points.filter(point => point.every(known));
}
function lineOf(curve, x, y, name, style) {
  const now = at(curve, state.threshold);
  const mark = x === "threshold" ? [state.threshold, now[y]] : [now[x], now[y]];
  return {name, ...style, points: pointsOf(curve, x, y), mark};
}

function classCurves() {
  const pr = new Plot(find("pr-chart"), "Precision against recall");
  const by = new Plot(find("threshold-chart"), "Against the threshold", setThreshold);
  const shown = new Set();
  let styles = new Map();

  function legend() {
    const {run} = state, all = allOf(run);
    const ranked = run.curves.filter(curve => curve !== all && curve.objects).sort((a, b) => b.objects - a.objects);
    const ordered = [all, ...ranked];
    styles = new Map(ordered.map((curve, index) => [curve, {colour: colour(index), dash: dash(index)}]));
    shown.clear();
    ordered.slice(0, MOST_LINES).forEach(curve => shown.add(curve));
    find("legend").replaceChildren(...ordered.map(curve => toggle(curve === all ? "all classes" : curve.name, styles.get(curve),
      shown.has(curve), now => {
        if (now) shown.add(curve);
        else shown.delete(curve);
        show();
      })));
    const more = ordered.length > MOST_LINES ? ` At first, all classes together and the ${MOST_LINES - 1} with the most objects are drawn.` : "";
    find("about-curves").textContent = `A button draws or removes a class.${more} Marks are at the threshold.`;
  }
  function show() {
    const lines = [...styles].filter(([curve]) => shown.has(curve));
    const name = curve => (curve.all ? "all classes" : curve.name);
    pr.show({x: UNIT("recall"), y: UNIT("precision"),
      lines: lines.map(([curve, style]) => lineOf(curve, "recall", "precision", name(curve), style))});
    const measure = find("measure").value, all = allOf(state.run);
    const three = () => ["precision", "recall", "f1"].map((key, index) => (
      lineOf(all, "threshold", key, key === "f1" ? "F1" : key, {colour: colour([1, 2, 0][index]), dash: ["7 4", "2 3", ""][index]})));
    by.show({x: UNIT("threshold"), y: UNIT(measure === "all" ? "precision (dashed), recall (dotted), F1" : measure.replace("f1", "F1")),
      cursor: state.threshold,
      lines: measure === "all" ? three() : lines.map(([curve, style]) => lineOf(curve, "threshold", measure, name(curve), style))});
  }
  find("measure").addEventListener("change", show);
  onRun.push(legend);
  onThreshold.push(show);
}

function runCurves() {
  if (data.runs.length < 2) return;
  find("overlay").hidden = false;
  const pr = new Plot(find("runs-pr-chart"), "Precision against recall of all runs");
  const f1 = new Plot(find("runs-f1-chart"), "F1 against the threshold of all runs", setThreshold);
  const shown = new Set(data.runs);
  const style = index => ({colour: colour(index), dash: dash(index + (index && 8))});
  find("runs-legend").append(...data.runs.map((run, index) => toggle(run.name, style(index), true, now => {
    if (now) shown.add(run);
    else shown.delete(run);
    show();
  })));
  function show() {
    const lines = (x, y) => data.runs.flatMap((run, index) => (shown.has(run) ? [lineOf(allOf(run), x, y, run.name, style(index))] : []));
    pr.show({x: UNIT("recall"), y: UNIT("precision"), lines: lines("recall", "precision")});
    f1.show({x: UNIT("threshold"), y: UNIT("F1"), lines: lines("threshold", "f1"), cursor: state.threshold});
  }
  onThreshold.push(show);
}
