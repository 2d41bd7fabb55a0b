// Learning curves, speed, data and config of a run.

const isMetric = name => /(^|_)A[PR]/.test(name);
const CHARTS = [
  ["Losses", name => !isMetric(name) && name !== "lr"],
  ["Metrics on data.val", isMetric],
  ["Learning rate", name => name === "lr"],
];

function training() {
  onRun.push(() => {
    const curves = state.run.curves_of_training || [];
    find("training").hidden = !curves.length;
    find("training-charts").replaceChildren(...CHARTS.map(([title, belongs]) => chart(title, curves.filter(one => belongs(one.name))))
      .filter(Boolean));
  });
  function chart(title, curves) {
    const values = curves.flatMap(one => one.values).filter(known);
    if (!values.length) return null;
    const steps = curves.flatMap(one => one.steps), place = make("div"), legend = make("div", {class: "legend"});
    const shown = new Set(curves), plot = new Plot(place, title);
    const lines = curves.map((one, index) => ({
      name: one.name, colour: colour(index), dash: dash(index), dots: one.steps.length < 30,
      points: one.steps.map((step, i) => [step, one.values[i]]).filter(point => point.every(known)),
    }));
    const high = Math.max(...values);
    const show = () => plot.show({
      x: {label: "step", low: Math.min(0, ...steps), high: Math.max(1, ...steps)},
      y: {label: "", low: Math.min(0, ...values), high: isMetric(curves[0].name) ? 1 : high * 1.05 || 1},
      lines: lines.filter((_, index) => shown.has(curves[index])),
    });
    legend.append(...lines.map((line, index) => toggle(line.name, line, true, now => {
      if (now) shown.add(curves[index]);
      else shown.delete(curves[index]);
      show();
    })));
    show();
    return make("figure", {}, make("figcaption", {}, title), legend, place);
  }
}

function speed() {
  const timed = data.runs.filter(run => run.speed);
  find("speed").hidden = !timed.length;
  if (!timed.length) return;
  const stages = [...new Set(timed.flatMap(run => Object.keys(run.speed.milliseconds || {})))];
  find("speed-table").append(plain(["run", "images a second", ...stages.map(stage => `${stage}, ms`)],
    timed.map(run => [run.name, run.speed.images_per_second.toFixed(2),
      ...stages.map(stage => ((run.speed.milliseconds || {})[stage] || 0).toFixed(1))]),
    "Time of one image, on the machine that wrote this page"));
}

function about() {
  const settings = sortable([
    {name: "setting", value: row => row.key, text: row => row.key, first: "up"},
    {name: "value", value: row => row.value, text: row => make("code", {}, row.value), first: "up"},
    {name: "written in", value: row => row.where, text: row => row.where, first: "up"},
  ], "Config");
  find("config-table").append(settings.element);
  const filter = find("config-filter");
  function show() {
    const wanted = filter.value.trim().toLowerCase(), rows = (state.run.about || {}).config || [];
    settings.show(rows.filter(({key, value}) => `${key} ${value}`.toLowerCase().includes(wanted)));
  }
  filter.addEventListener("input", show);
  onRun.push(show);
  onRun.push(() => {
    const {environment = {}, trained = {}, checkpoint, threshold} = state.run.about || {};
    const names = Object.keys({...environment, ...trained});
    const rows = [["run", state.run.name, ""], ["checkpoint", checkpoint || "–", ""], ["threshold", threshold ? threshold.text : "–", ""],
      ...names.map(name => [name, environment[name] || "–", trained[name] || "–"])];
    find("environment-table").replaceChildren(plain(["", "judged by", "trained by"], rows, "Environment"));
  });
}
