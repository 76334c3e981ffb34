// Text -> pieces with every merge -> ids -> embeddings.

function letters(symbol) {
  return symbol.endsWith("</w>") ? symbol.slice(0, -4) : `${symbol}\u00b7`;
}

function mergeList(piece) {
  if (!piece.merges.length) {
    return el("p", { class: "soft small" }, piece.word.length > 1 && piece.tokens.length === 1
      ? "Taken whole: a token that no merge makes." : "Nothing to merge.");
  }
  return el("ol", { class: "merges small" }, piece.merges.map(([rank, left, right, symbols]) => el("li", {},
    el("span", { class: "token" }, letters(left)), " + ", el("span", { class: "token" }, letters(right)), " \u2192 ",
    el("span", { class: "token" }, symbols.map(letters).join(" ")), el("span", { class: "soft" }, `  (merge ${rank})`))));
}

function pieceTable(run, first) {
  const known = first.pieces.map((piece) => piece.tokens.join(" "));
  return table("Every piece of the text, its tokens and their ids. @@ marks a token that does not end its word.",
    ["piece", "tokens", "ids", "merges"],
    run.pieces.map((piece, at) => row(
      el("span", { class: `token${known[at] === piece.tokens.join(" ") ? "" : " differs"}` }, piece.piece),
      el("span", { class: "token" }, piece.tokens.join(" ")), piece.ids.join(" "),
      piece.merges.length > 0
        ? el("details", {}, el("summary", {}, plural(piece.merges.length, "merge")), mergeList(piece))
        : mergeList(piece))), { class: "pieces" });
}

parts.push({
  id: "words",
  title: "Words",
  heading: "From text to ids",
  has: (run) => run.source.length > 0,
  draw(place, run, first) {
    add(place, [
      run.pieces.length > 0 && el("p", {}, "The tokenizer cuts the text into pieces and merges the letters of each, the pair that was ",
        "learned first before any other. A dot after letters says that the word goes on."),
      run.pieces.length ? pieceTable(run, first)
        : table("What the encoder read.", ["place", "token", { n: "id" }],
          run.source.map((id, at) => row(String(at + 1), token(run, id), { n: String(id) }))),
    ]);
  },
});

const POINTS = {
  tokens: "row of the shared matrix",
  scaled: "times \u221aD, where the dialect scales",
  positions: "row of the learned positions",
  sum: "token part plus positions",
  norm: "LayerNorm",
  output: "what the first layer gets",
};

function vectorTable(run, stack, ids, chosen) {
  const read = el("p", { class: "read" }, "Point at a strip, or walk along it with the arrow keys, to read a number.");
  const points = run.embedded.filter((each) => each.point.startsWith(`${stack}.`));
  const rows = points.map((each) => {
    const name = each.point.split(".").pop();
    const vectors = array(each.rows);
    const length = array(each.lengths);
    const cells = [el("span", { title: each.point }, POINTS[name]), { n: shown(length.values[chosen], length.digits) }];
    if (vectors) cells.push(strip(vectors, chosen, `${POINTS[name]} of ${word(run, ids[chosen])}`, read));
    return row(...cells);
  });
  const heads = ["point", { n: "length" }];
  if (points.some((each) => each.rows !== null)) heads.push("its numbers");
  const made = table(`${stack}: the vector of ${word(run, ids[chosen])}, token ${chosen + 1}`, heads, rows, { class: "strip" });
  return el("div", {}, made, heads.length > 2 && read);
}

function strip(vectors, chosen, label, read) {
  const whole = matrix(vectors);
  const one = { rows: 1, columns: whole.columns, at: (i, j) => whole.at(chosen, j) };
  let largest = 0;
  for (let i = 0; i < vectors.values.length; i += 1) {
    if (Number.isFinite(vectors.values[i])) largest = Math.max(largest, Math.abs(vectors.values[i]));
  }
  const canvas = picture(one, largest || 1, whole.columns);
  canvas.removeAttribute("aria-hidden");
  set(canvas, { role: "img", tabindex: 0, "aria-label": `${label}: ${whole.columns} numbers, none beyond ${shown(largest, vectors.digits)}` });
  let at = 0;
  const say = (place) => {
    at = Math.min(whole.columns - 1, Math.max(0, place));
    read.textContent = `${label}, dimension ${at + 1}: ${shown(one.at(0, at), vectors.digits)}`;
    canvas.setAttribute("aria-label", read.textContent);
  };
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    say(Math.floor(((event.clientX - box.left) / box.width) * whole.columns));
  });
  canvas.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: whole.columns - 1 }[event.key];
    if (to === undefined) return;
    say(to);
    event.preventDefault();
  });
  return canvas;
}

parts.push({
  id: "vectors",
  title: "Vectors",
  heading: "From ids to vectors",
  has: (run) => run.embedded.length > 0,
  draw(place, run) {
    const stacks = [["encoder", run.source], ["decoder", run.target]].filter(
      ([stack]) => run.embedded.some((each) => each.point.startsWith(`${stack}.`)));
    add(place, [el("p", {}, "Each id is looked up in one matrix, which both stacks and the output share, and gets a learned vector ",
      "for its place. The encoder normalises after the positions are added, the decoder before. Blue numbers are above zero, ",
      "orange ones below.")]);
    for (const [stack, ids] of stacks) {
      const holder = el("div", {});
      const line = el("div", { class: "words", role: "group", "aria-label": `Tokens of the ${stack}` });
      const show = (chosen) => {
        line.querySelectorAll("button").forEach((each, at) => each.setAttribute("aria-pressed", at === chosen));
        holder.replaceChildren(vectorTable(run, stack, ids, chosen));
      };
      add(line, ids.map((id, at) => el("button", { type: "button", class: "token", onclick: () => show(at) }, word(run, id))));
      add(place, [el("h3", {}, stack === "encoder" ? "What the encoder reads" : "What the decoder reads"), line, holder]);
      show(0);
    }
  },
});
