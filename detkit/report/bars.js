// Bars: kinds of errors, sizes of objects, calibration.

// rows: [{name, value, text, title}]; the longest bar fills the width.
function bars(rows, longest) {
  const most = longest || Math.max(1e-9, ...rows.map(row => row.value || 0));
  return make("dl", {class: "bars"}, ...rows.flatMap(row => {
    const bar = make("span", {class: "bar"});
    bar.style.width = `${100 * Math.max(0, Math.min(1, (row.value || 0) / most))}%`;
    return [make("dt", {title: row.title}, row.name), make("dd", {}, make("span", {class: "track"}, bar), row.text)];
  }));
}

const ERRORS = [
  ["classification", "classification", "the right place, another class"],
  ["localisation", "localisation", "the right class, an IoU between 0.1 and 0.5"],
  ["both", "class and place", "another class, an IoU between 0.1 and 0.5"],
  ["duplicate", "duplicate", "an object that a better detection has"],
  ["background", "background", "an IoU below 0.1 with every object"],
  ["missed", "missed", "an object without any of these"],
  ["false_positives", "all false alarms", "all detections that are no hits"],
  ["false_negatives", "all missed objects", "all objects that have no hit"],
];

function errorBars() {
  const {errors, boxes} = state.run;
  find("about-errors").textContent = errors
    ? `AP50 is ${percent(errors.ap50)}. A bar says by how many points it would be higher if this kind of error alone were mended, as in TIDE. `
      + "The kinds do not add up, because they lie in each other's way. These figures take all detections, whatever the threshold."
    : "";
  find("error-bars").closest("figure").hidden = !errors;
  find("sizes").textContent = `Objects found by size, at the threshold ${atChoice()}`;
  find("error-bars").replaceChildren(bars(ERRORS.filter(([key]) => errors && known(errors[key])).map(([key, name, title]) => (
    {name, title, value: errors[key], text: percent(errors[key])}))));
  find("size-bars").replaceChildren(bars(Object.entries(boxes || {}).map(([size, one]) => ({
    name: size, value: one.recall, text: one.objects ? `${percent(one.recall)} % of ${count(one.objects)}` : "no objects",
    title: {small: "below 32 x 32 pixels", medium: "up to 96 x 96 pixels", large: "larger"}[size],
  })), 1));
}

function calibration() {
  const plot = new Plot(find("calibration-chart"), "Precision against the score");
  onRun.push(() => {
    const {bins, ece, per_class: classes} = state.run.calibration;
    const filled = bins.filter(bin => bin.count);
    find("about-calibration").textContent = "If scores are calibrated, of the detections with a score of 0.8, 80 % are hits, and the dots "
      + `lie on the dashed line. Their mean distance from it, by the number of detections, is ${percent(ece)} points (ECE).`;
    plot.show({
      x: UNIT("score"), y: UNIT("precision"),
      lines: [
        {name: "calibrated", points: [[0, 0], [1, 1]], colour: "var(--quiet)", dash: "4 4"},
        {name: "precision", points: filled.map(bin => [bin.score, bin.precision]), colour: colour(1), dots: true},
      ],
    });
    const worst = Object.entries(classes).filter(([, value]) => known(value)).sort((a, b) => b[1] - a[1]).slice(0, 10);
    find("calibration-bars").replaceChildren(bars(worst.map(([name, value]) => ({name, value, text: percent(value)}))));
  });
}
