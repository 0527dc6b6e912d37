// A chart of two stacked areas, opaque below and clear on top, in SVG.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 160;

function svg(name, attributes) {
  const e = document.createElementNS(NS, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

function element(name, className, text) {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// ceiling returns a round number that is not below n, and not below 2: the label of half
// of it must not be the same, rounded.
function ceiling(n) {
  if (n <= 2) return 2;
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 5, 8, 10].map((f) => f * unit).find((c) => c >= n * 0.999);
}

export class Chart {
  constructor(host, length, what, format) {
    Object.assign(this, { length, what, format, points: [] });
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    // Clear payloads are hatched: distinguishable without colour.
    const hatch = svg("pattern", { id: host.id + "-hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    hatch.append(svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "clear", "stroke-width": 3 }));
    const defs = svg("defs", {});
    defs.append(hatch);
    this.grid = [0, 0.5].map((y) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y * HEIGHT, y2: y * HEIGHT }));
    this.opaque = svg("path", { class: "area opaque" });
    this.clear = svg("path", { class: "area" });
    this.clear.style.fill = `url(#${host.id}-hatch)`;
    this.lines = { clear: svg("path", { class: "edge clear" }), opaque: svg("path", { class: "edge opaque" }) };
    this.svg.append(defs, ...this.grid, this.opaque, this.clear, this.lines.clear, this.lines.opaque, svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
    const frame = element("div", "frame");
    this.scales = [1, 0.5].map((part) => {
      const s = element("span", "scale");
      s.style.top = `calc(${100 - 100 * part}% + 1.2em)`;
      return s;
    });
    frame.append(this.svg, ...this.scales);
    const legend = element("ul", "legend");
    this.numbers = {};
    for (const kind of ["opaque", "clear"]) {
      const item = element("li");
      this.numbers[kind] = element("b", "", "–");
      item.append(element("span", "swatch " + kind), `${kind} `, this.numbers[kind]);
      legend.append(item);
    }
    host.replaceChildren(frame, legend);
  }

  reset() { this.points = []; }

  push(opaque, clear) {
    this.points.push({ opaque, clear });
    if (this.points.length > this.length) this.points.shift();
    this.draw();
  }

  draw() {
    const top = ceiling(Math.max(...this.points.map((p) => p.opaque + p.clear)));
    const x = (n) => ((n + this.length - this.points.length) / (this.length - 1)) * WIDTH;
    const y = (v) => HEIGHT - (v / top) * HEIGHT;
    const line = (value) => this.points.map((p, n) => `${x(n).toFixed(1)} ${y(value(p)).toFixed(1)}`);
    const lower = line((p) => p.opaque), upper = line((p) => p.opaque + p.clear);
    const first = x(0).toFixed(1);
    this.opaque.setAttribute("d", `M${first} ${HEIGHT}L${lower.join("L")}L${WIDTH} ${HEIGHT}Z`);
    const some = this.points.some((p) => p.clear > 0);
    this.lines.opaque.setAttribute("d", `M${lower.join("L")}`);
    this.lines.clear.setAttribute("d", some ? `M${upper.join("L")}` : "");
    this.clear.setAttribute("d", some ? `M${upper.join("L")}L${lower.reverse().join("L")}Z` : "");
    const last = this.points.at(-1);
    this.numbers.opaque.textContent = this.format(last.opaque);
    this.numbers.clear.textContent = this.format(last.clear);
    this.scales[0].textContent = this.format(top);
    this.scales[1].textContent = this.format(top / 2);
    this.svg.setAttribute("aria-label", `${this.what} a second: ${this.format(last.opaque)} opaque, ${this.format(last.clear)} clear`);
  }
}

// bars shows names and numbers as horizontal bars.
export function bars(host, entries, none) {
  if (entries.length === 0) {
    host.replaceChildren(element("span", "none", none));
    return;
  }
  const most = Math.max(...entries.map((e) => e[1]));
  host.replaceChildren(...entries.flatMap(([name, n]) => {
    const bar = element("span", "bar");
    bar.style.width = `${(100 * n) / most}%`;
    return [element("span", "", name), bar, element("span", "number", n.toLocaleString("en"))];
  }));
}

export { element };
