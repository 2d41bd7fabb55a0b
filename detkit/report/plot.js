// A chart of lines. It is drawn as wide as its place, so that its letters have the page's size.

const MARGIN = {left: 46, right: 12, top: 8, bottom: 40};

// Round numbers between low and high, about five of them.
function ticks(low, high) {
  const span = high - low || 1, power = 10 ** Math.floor(Math.log10(span / 5));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => span / size <= 6);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({length: last - first + 1}, (_, index) => (first + index) * step);
}
const tickText = value => {
  const size = Math.abs(value);
  if (size >= 10000) return `${+(value / 1000).toPrecision(3)}k`;
  return size && size < 0.01 ? (+value.toPrecision(2)).toExponential() : String(+value.toPrecision(3));
};

class Plot {
  // box: the element that it is drawn into. label: what it shows, for a screen reader.
  // pick: a function of x that a click or Enter calls, or null.
  constructor(box, label, pick = null) {
    Object.assign(this, {box, label, pick, spec: null, cursor: null});
    this.readout = make("output", {class: "readout"});
    this.place = make("div", {class: "plot"});
    box.append(this.place, this.readout);
    new ResizeObserver(() => this.spec && this.render()).observe(this.place);
  }

  // spec: {x: {label, low, high}, y: {label, low, high}, lines, cursor}; a line has
  // {name, points: [[x, y], ...], colour, dash, mark: [x, y] or none, dots: whether its points are dots}.
  show(spec) {
    this.spec = spec;
    this.render();
  }

  render() {
    const {x, y, lines} = this.spec, width = Math.max(260, this.place.clientWidth), height = Math.min(340, 150 + width * 0.4);
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    this.toX = value => MARGIN.left + (value - x.low) / (x.high - x.low || 1) * (right - MARGIN.left);
    this.fromX = pixel => x.low + (pixel - MARGIN.left) / (right - MARGIN.left) * (x.high - x.low);
    this.toY = value => bottom - (value - y.low) / (y.high - y.low || 1) * (bottom - MARGIN.top);
    const svg = draw("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": this.label,
      tabindex: 0});
    for (const value of ticks(x.low, x.high)) {
      svg.append(draw("line", {class: "grid", x1: this.toX(value), x2: this.toX(value), y1: MARGIN.top, y2: bottom}),
        draw("text", {x: this.toX(value), y: bottom + 16, "text-anchor": "middle"}, tickText(value)));
    }
    for (const value of ticks(y.low, y.high)) {
      svg.append(draw("line", {class: "grid", x1: MARGIN.left, x2: right, y1: this.toY(value), y2: this.toY(value)}),
        draw("text", {x: MARGIN.left - 6, y: this.toY(value) + 4, "text-anchor": "end"}, tickText(value)));
    }
    svg.append(draw("text", {x: (MARGIN.left + right) / 2, y: height - 6, "text-anchor": "middle"}, x.label));
    svg.append(draw("text", {x: -(MARGIN.top + bottom) / 2, y: 12, transform: "rotate(-90)", "text-anchor": "middle"}, y.label));
    if (known(this.spec.cursor)) this.vertical(svg, this.spec.cursor, "threshold", bottom);
    for (const line of lines) this.line(svg, line);
    this.hair = this.vertical(svg, this.cursor === null ? x.low : this.cursor, "hair", bottom);
    this.hair.toggleAttribute("hidden", this.cursor === null);
    this.listen(svg);
    const focused = this.place.contains(document.activeElement);
    this.place.replaceChildren(svg);
    if (focused) svg.focus({preventScroll: true});
    this.read();
  }

  vertical(svg, value, kind, bottom) {
    const line = draw("line", {class: kind, x1: this.toX(value), x2: this.toX(value), y1: MARGIN.top, y2: bottom});
    svg.append(line);
    return line;
  }

  line(svg, {name, points, colour: stroke, dash: dashes, mark, dots}) {
    const path = points.map(([a, b]) => `${this.toX(a).toFixed(1)},${this.toY(b).toFixed(1)}`).join(" ");
    svg.append(draw("polyline", {class: "line", points: path, stroke, "stroke-dasharray": dashes, "data-name": name}));
    for (const [a, b] of dots ? points : []) svg.append(draw("circle", {cx: this.toX(a), cy: this.toY(b), r: 3, fill: stroke}));
    if (mark && mark.every(known)) {
      svg.append(draw("circle", {class: "mark", cx: this.toX(mark[0]), cy: this.toY(mark[1]), r: 5, fill: stroke, "data-name": name}));
    }
  }

  listen(svg) {
    const {x} = this.spec, step = (x.high - x.low) / 100;
    const inside = value => Math.min(x.high, Math.max(x.low, value));
    const pixel = event => (event.clientX - svg.getBoundingClientRect().left) * (svg.viewBox.baseVal.width / svg.getBoundingClientRect().width);
    svg.addEventListener("pointermove", event => this.move(inside(this.fromX(pixel(event)))));
    svg.addEventListener("pointerleave", () => this.move(null));
    svg.addEventListener("blur", () => this.move(null));
    svg.addEventListener("click", event => this.pick && this.pick(inside(this.fromX(pixel(event)))));
    svg.addEventListener("keydown", event => {
      const now = this.cursor === null ? (known(this.spec.cursor) ? this.spec.cursor : x.low) : this.cursor;
      const moves = {ArrowLeft: now - step, ArrowRight: now + step, Home: x.low, End: x.high};
      if (event.key in moves) this.move(inside(moves[event.key]));
      else if (event.key === "Enter" && this.pick) this.pick(now);
      else return;
      event.preventDefault();
    });
  }

  move(value) {
    this.cursor = value;
    this.hair.toggleAttribute("hidden", value === null);
    if (value !== null) {
      this.hair.setAttribute("x1", this.toX(value));
      this.hair.setAttribute("x2", this.toX(value));
    }
    this.read();
  }

  // Says the value of each line at the cursor.
  read() {
    if (this.cursor === null) {
      this.readout.textContent = this.pick ? "Point at the chart to read it; a click sets the threshold." : "Point at the chart to read it.";
      return;
    }
    const {x, lines} = this.spec;
    const values = lines.slice(0, 10).map(({name, points}) => `${name} ${nearest(points, this.cursor)}`);
    this.readout.textContent = `${x.label} ${tickText(this.cursor)}: ${values.join(", ")}`;
  }
}

function nearest(points, value) {
  let best = null;
  for (const point of points) if (!best || Math.abs(point[0] - value) < Math.abs(best[0] - value)) best = point;
  return best ? String(+best[1].toPrecision(3)) : "–";
}
