// The ten most probable tokens of every step, and what every layer would have said: the logit lens.

Object.assign(state, { step: 0, lens: null });

function stepLine(run, first, pick) {
  return el("div", { class: "words", role: "group", "aria-label": "Tokens of the reply" }, run.steps.map((step, at) => {
    const differs = run !== first && first.steps && (!first.steps[at] || first.steps[at].chosen !== step.chosen);
    return strong(el("button", {
      type: "button", class: `token${differs ? " differs" : ""}`, w: typeof step.p === "number" ? step.p : 0,
      "aria-pressed": String(state.step === at), title: step.chosen === null ? "" : `probability ${percent(step.p)}`, onclick: () => pick(at),
    }, step.chosen === null ? "?" : word(run, step.chosen)), typeof step.p === "number" ? step.p : 0);
  }));
}

function sayChoice(run, step, at) {
  const read = run.target.slice(0, at + 1).map((id) => word(run, id)).join(" ");
  if (step.chosen === null) return `Having read ${read}, the model expects:`;
  return `Having read ${read}, the model gives ${word(run, step.chosen)} the probability ${percent(step.p)}, `
    + `rank ${step.rank}. The search chose it.`;
}

function blockedList(run, here) {
  if (!here || !here.count) return null;
  const more = here.count - here.tokens.length;
  return el("div", { class: "small" }, el("p", { class: "blocked" }, `The search blocked ${plural(here.count, "token")} here:`),
    el("ul", {}, here.tokens.map(([id, p, reason, ngram]) => el("li", {}, token(run, id), ` (probability ${percent(p)}): ${reason}`,
      ngram.length ? [": ", el("span", { class: "token" }, ngram.map((each) => word(run, each)).join(" "))] : "")),
    more > 0 && el("li", {}, `and ${more} less probable`)));
}

parts.push({
  id: "next",
  title: "Next token",
  heading: "What the model expects next",
  has: (run) => run.steps.length > 0,
  draw(place, run, first) {
    const holder = el("div", {});
    const again = (focus) => {
      state.step = Math.min(state.step, run.steps.length - 1);
      const step = run.steps[state.step];
      const here = run.blocked[state.step];
      const blocked = new Set(here ? here.tokens.map(([id]) => id) : []);
      const theirs = run !== first && first.steps ? first.steps[state.step] : null;
      holder.replaceChildren(stepLine(run, first, (at) => { state.step = at; again(true); }),
        el("p", { class: "soft" }, sayChoice(run, step, state.step)),
        table(`Step ${state.step + 1}: the most probable tokens`, ["token", { n: "probability" }, ...(theirs ? [{ n: `under ${first.name}` }] : []), ""],
          step.best.map(([id, p]) => {
            const name = token(run, id, { class: `token${blocked.has(id) ? " blocked" : ""}` });
            const was = theirs && theirs.best.find(([other]) => other === id);
            const marked = theirs && (!was || percent(was[1]) !== percent(p));
            return row([name, id === step.chosen ? " \u2190 chosen" : "", blocked.has(id) ? " (blocked)" : ""], { n: el("span", { class: marked ? "differs" : null }, percent(p)) },
              ...(theirs ? [{ n: was ? percent(was[1]) : "\u2013" }] : []),
              el("span", { class: "bar", w: typeof p === "number" ? p : 0 }));
          }), { class: "bars", id: "best" }), blockedList(run, here) || "");
      if (focus) holder.querySelectorAll(".words button")[state.step].focus();
    };
    add(place, [el("p", {}, "The last state is multiplied with every row of the embedding matrix; softmax makes probabilities of these ",
      "logits. The darker a word, the surer the model was of it."), holder]);
    again(false);
  },
});

function lensRead(run, layer, at) {
  const step = run.lens[layer][at];
  const best = step.best.map(([id, p]) => `${word(run, id)} ${percent(p)}`).join(", ");
  const name = layer === 0 ? "the embedding" : `layer ${layer}`;
  const rank = step.chosen === null ? "" : ` ${word(run, step.chosen)} has rank ${step.rank} and probability ${percent(step.p)}.`;
  return `After ${name}, step ${at + 1}: ${best}.${rank}`;
}

parts.push({
  id: "lens",
  title: "Layers",
  heading: "What every layer would say",
  has: (run) => run.lens.length > 0,
  draw(place, run) {
    const read = el("p", { class: "read" }, "Point at a cell, or walk with the arrow keys, to read more of it.");
    const head = el("tr", {}, el("td", { class: "hidden" }), run.lens[0].map((step, at) => el("th", { scope: "col", class: "token" },
      step.chosen === null ? `${at + 1}` : word(run, step.chosen))));
    const body = run.lens.map((steps, layer) => el("tr", {}, el("th", { scope: "row" }, layer === 0 ? "embedding\u00a0" : `layer ${layer}\u00a0`),
      steps.map((step, at) => {
        const [id, p] = step.best[0];
        const heat = typeof p === "number" ? p : 0;
        return strong(el("td", {
          class: `wide token${id === step.chosen ? " chosen" : ""}`, tabindex: -1, w: heat, title: lensRead(run, layer, at), "aria-label": lensRead(run, layer, at),
        }, word(run, id)), heat);
      }))).reverse();
    const made = el("table", { class: "heat", id: "lens-table" }, el("thead", {}, head), el("tbody", {}, body));
    const caption = "The most probable token after every layer of the decoder. Above: what was chosen. A green edge: this layer "
      + "says so already.";
    for (const kind of ["mouseover", "focusin"]) {
      made.addEventListener(kind, (event) => {
        const cell = event.target.closest("td[tabindex]");
        if (cell) read.textContent = cell.getAttribute("aria-label");
      });
    }
    add(place, [el("p", {}, "The logit lens: the states after each layer go to the output matrix as if it were the last. Every layer ",
      "ends in a LayerNorm, so nothing else is needed."), captioned(caption, walkable(made)), read]);
  },
});
