// The same under the other dialects, or in a port's trace: what differs, and where they part.

function differenceTable(first, run) {
  const { lines } = run.differences;
  const apart = lines.filter((line) => !line.same).length;
  return table(`${first.name} and ${run.name}: ${apart ? `${apart} of ${lines.length} lines differ` : "nothing differs"}`,
    ["", first.name, run.name, "same?"],
    lines.map((line) => row(line.what, line.first, el("span", { class: line.same ? null : "differs" }, line.other),
      el("span", { class: line.same ? "yes" : "no" }, line.same ? "same" : "differs"))), { class: "compared" });
}

parts.push({
  id: "runs",
  title: "Side by side",
  heading: data.compared ? "Where the second trace parts from the first" : "The same elsewhere",
  has: () => data.runs.length > 1 || data.compared !== null,
  draw(place) {
    const [first, ...others] = data.runs;
    if (data.compared) drawCompared(place, data.compared);
    for (const run of others) {
      if (run.refused !== undefined) {
        add(place, [el("h3", {}, run.name), el("p", {}, `It cannot run this: ${run.refused}`)]);
        continue;
      }
      const at = run.differences.parts_at;
      add(place, [el("h3", {}, run.name),
        el("p", {}, at === null ? "The same tokens were chosen at every step." : `The replies part at step ${at + 1}.`),
        differenceTable(first, run)]);
    }
    if (others.some((run) => run.refused === undefined)) {
      add(place, [el("p", { class: "soft" }, "Choose one at the top of the page to see every part under it, its differences underlined.")]);
    }
  },
});

function drawCompared(place, compared) {
  const causes = compared.causes.map((cause) => el("li", {}, cause));
  add(place, [el("p", { id: "verdict" }, compared.verdict),
    el("p", { class: "caption" }, "The error of every point in causal order, in units of float32 noise; above the dashed line it is no noise."),
    pointChart(compared), causes.length ? [el("h3", {}, "Usual causes"), el("ul", {}, causes)] : null,
    el("details", {}, el("summary", {}, "Every point as a table"),
      table("In causal order: a unit is the usual float32 noise of a point", ["point", "status", { n: "units" }, { n: "worst" }, ""],
        compared.points.map((point) => row(point.name, point.status, { n: units(point.units) }, { n: units(point.worst) }, point.remark))))]);
}

function units(value) {
  if (value === null || typeof value === "string") return value || "";
  return value.toPrecision(3).replace("-", "\u2212");
}

// One bar a point, on a logarithmic scale from a hundredth of a unit to ten million.
function pointChart(compared) {
  const [low, high, height, left, step] = [-2, 7, 190, 46, 7];
  const width = left + step * Math.max(20, compared.points.length) + 16;
  const y = (value) => {
    const exponent = typeof value === "number" && value > 0 ? Math.log10(value) : value === 0 ? low : high;
    return 12 + (height - 34) * (1 - (Math.min(high, Math.max(low, exponent)) - low) / (high - low));
  };
  const lines = [];
  for (let exponent = low; exponent <= high; exponent += 3) {
    lines.push(drawn("line", { x1: left, x2: width, y1: y(10 ** exponent), y2: y(10 ** exponent) }),
      drawn("text", { x: left - 5, y: y(10 ** exponent) + 4, "text-anchor": "end" }, `1e${exponent}`));
  }
  lines.push(drawn("line", { class: "limit", x1: left, x2: width, y1: y(10), y2: y(10) }));
  const dots = compared.points.map((point, at) => {
    const place = point.status === "missing" ? height - 22 : y(point.units);
    const said = `${point.name}: ${point.status}${point.units === null ? "" : `, ${units(point.units)} units`}`;
    const spot = { class: point.status, cx: left + step * (at + 0.5), cy: place, r: point.name === compared.first ? 5 : 2.6 };
    return drawn("circle", spot, drawn("title", {}, said));
  });
  const label = `Error of ${compared.points.length} points in causal order. ${compared.verdict}`;
  const frame = { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label };
  return el("div", { class: "scroll", tabindex: 0 }, drawn("svg", frame, lines, dots));
}
