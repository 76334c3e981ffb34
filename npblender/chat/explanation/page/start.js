// The head of the page, the choice of a run, and all parts, drawn again when another run is chosen.

function heading() {
  const run = data.runs[state.run];
  const choices = data.runs.map((each, at) => el("label", {}, el("input", {
    type: "radio", name: "run", value: at, checked: at === state.run, disabled: each.refused !== undefined, onchange: () => { state.run = at; draw(); },
  }), each.name));
  const score = run.score === null ? "" : el("span", { class: "soft" }, `  (score ${shown(run.score, 4)})`);
  return [
    el("dl", { class: "talk" },
      data.said && [el("dt", {}, "said"), el("dd", { id: "said" }, data.said)],
      run.reply && [el("dt", {}, "replied"), el("dd", { id: "reply" }, run.reply, score)]),
    data.runs.length > 1 && el("fieldset", {}, el("legend", {}, data.compared ? "Shown from" : "Shown under the dialect"), choices),
    run.notes.map((note) => el("p", { class: "soft" }, note)),
    data.left_out && el("p", { class: "soft", id: "left-out" }, `So that the page stays small, it leaves out ${data.left_out}.`),
  ];
}

function draw() {
  const run = data.runs[state.run];
  const first = data.runs[0];
  add(document.getElementById("top"), []).replaceChildren(...add(el("div", {}), heading()).childNodes);
  const here = parts.filter((part) => part.has(run));
  if (data.compared) here.sort((a, b) => (b.id === "runs") - (a.id === "runs")); // what a porter came for
  document.getElementById("nav").replaceChildren(...here.map((part) => el("a", { href: `#${part.id}` }, part.title)));
  const main = document.getElementById("main");
  main.replaceChildren(...here.map((part) => {
    const place = el("section", { id: part.id, "aria-labelledby": `${part.id}-title` }, el("h2", { id: `${part.id}-title` }, part.heading));
    return place;
  }));
  for (const part of here) part.draw(document.getElementById(part.id), run, first);
  const chosen = document.querySelector('input[name="run"]:checked');
  if (chosen && document.activeElement === document.body && draw.again) chosen.focus();
  draw.again = true;
}

const size = data.model;
add(document.getElementById("foot"), [el("p", { class: "soft small" },
  `npblender ${data.version}. `, size
    ? `The model: ${size.encoder_layers} + ${size.decoder_layers} layers, ${size.encoder_heads} heads, D = ${size.D}, V = ${size.V}. ` : "",
  "Weights and vectors are rounded to the digits that are shown; probabilities are in float64.")]);
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
