// Puts the page together.

function bar() {
  const {runs} = data, slider = find("threshold"), number = find("threshold-number"), choice = find("run"), chosen = find("chosen");
  choice.append(...runs.map((run, index) => make("option", {value: index}, run.name)));
  find("run-choice").hidden = runs.length < 2;
  choice.addEventListener("change", () => setRun(Number(choice.value)));
  slider.addEventListener("input", () => setThreshold(slider.valueAsNumber));
  number.addEventListener("input", () => setThreshold(number.valueAsNumber));
  find("best-f1").addEventListener("click", () => setThreshold(bestThreshold(state.run)));
  chosen.addEventListener("click", () => setThreshold(chosenThreshold(state.run)));
  onRun.push(() => chosen.hidden = !known(chosenThreshold(state.run)));
  onThreshold.push(() => {
    slider.value = state.threshold;
    if (document.activeElement !== number) number.value = shownThreshold(state.threshold);
    const {precision, recall, f1} = at(allOf(state.run), state.threshold);
    find("at-threshold").textContent = `precision ${percent(precision)}, recall ${percent(recall)}, F1 ${percent(f1)} %`;
  });
}

function contents() {
  const sections = [...document.querySelectorAll("main section:not([hidden])")];
  find("nav").append(...sections.map(section => make("a", {href: `#${section.id}`}, section.querySelector("h2").textContent)));
}

document.title = find("title").textContent = data.title;
state.threshold = known(chosenThreshold(state.run)) ? chosenThreshold(state.run) : bestThreshold(state.run);
onRun.push(judged, errorBars);
metricsTable();
for (const part of [classesTable, classCurves, runCurves, confusionMatrix, calibration, exampleImages, training, speed, about, bar, theme]) part();
setRun(0);
contents();
