// Every attention as a heat map over the words: pickers for kind, layer and head, and what one word looks at.

const KINDS = {
  encoder: { title: "encoder: the text looks at itself", queries: "source", keys: "source" },
  decoder: { title: "decoder: the reply looks at itself", queries: "target", keys: "target" },
  cross: { title: "cross: the reply looks at the text", queries: "target", keys: "source" },
};

Object.assign(state, { kind: "cross", layer: 0, head: "average", minus: false, query: null });

// The weights that are shown: of one head or of their average; or what they are more than the first run's.
function weights(run, first) {
  const here = run.attention[state.kind];
  const pick = (found) => {
    const heads = array(found.heads);
    if (state.head === "average" || !heads) return matrix(array(found.average), state.layer);
    return matrix(heads, state.layer, Number(state.head));
  };
  const mine = pick(here);
  const theirs = first.attention && first.attention[state.kind];
  if (!state.minus || run === first || !theirs) return mine;
  const other = pick(theirs);
  if (other.rows !== mine.rows || other.columns !== mine.columns) return mine;
  return { ...mine, at: (i, j) => mine.at(i, j) - other.at(i, j) };
}

function comparable(run, first) {
  const theirs = first.attention && first.attention[state.kind];
  return run !== first && theirs
    && String(array(theirs.average).shape) === String(array(run.attention[state.kind].average).shape);
}

function headName() {
  return state.head === "average" ? "average of the heads" : `head ${Number(state.head) + 1}`;
}

function sayCell(run, cells, i, j) {
  const kind = KINDS[state.kind];
  const from = word(run, run[kind.queries][i]);
  const to = word(run, run[kind.keys][j]);
  const verb = state.minus ? "differs from the first run by" : "with weight";
  return `${from} looks at ${to} ${verb} ${shown(cells.at(i, j), cells.digits)}`;
}

function heatTable(run, cells, say, pick) {
  const kind = KINDS[state.kind];
  const [queries, keys] = [run[kind.queries], run[kind.keys]];
  let largest = 1;
  if (state.minus) {
    largest = 1e-9;
    for (let i = 0; i < cells.rows; i += 1) {
      for (let j = 0; j < cells.columns; j += 1) largest = Math.max(largest, Math.abs(cells.at(i, j)) || 0);
    }
  }
  const button = (id, at, side) => el("button", {
    type: "button", "aria-pressed": String(state.query !== null && state.query.side === side && state.query.at === at),
    onclick: () => pick({ side, at }),
  }, word(run, id));
  const head = el("tr", {}, el("td", { class: "hidden" }), keys.map((id, j) => el("th", { scope: "col" }, button(id, j, "key"))));
  const body = queries.map((id, i) => el("tr", {}, el("th", { scope: "row" }, button(id, i, "query")), keys.map((_, j) => {
    const value = cells.at(i, j);
    if (state.kind === "decoder" && j > i) return el("td", { class: "hidden", "aria-label": "not seen: a later token" }, "\u00b7");
    const heat = Math.min(1, Math.abs(value) / largest);
    const text = say(i, j);
    const cell = el("td", { tabindex: -1, w: heat, class: value < 0 ? "minus" : null, "aria-label": text, title: text },
      Number.isFinite(value) ? (state.minus ? shown(value, 3) : shown(value, 2)) : "NaN");
    return strong(cell, heat);
  })));
  const caption = `${kind.title}, layer ${state.layer + 1}, ${headName()}. Each row sums to 1 over what its word looks at.`;
  return captioned(caption, walkable(el("table", { class: "heat", id: "heat" }, el("thead", {}, head), el("tbody", {}, body))));
}

// Small pictures of every head of every layer, as buttons.
function headPictures(run, again) {
  const heads = array(run.attention[state.kind].heads);
  if (!heads) return null;
  const [layers, count] = heads.shape;
  const place = el("div", {
    class: "heads scroll", role: "group", "aria-label": "Every head of every layer", columns: `max-content repeat(${count}, max-content)`,
  });
  for (let layer = 0; layer < layers; layer += 1) {
    place.append(el("span", {}, `layer ${layer + 1}`));
    for (let head = 0; head < count; head += 1) {
      place.append(el("button", {
        type: "button", "aria-label": `layer ${layer + 1}, head ${head + 1}`, title: `layer ${layer + 1}, head ${head + 1}`,
        "aria-pressed": String(state.layer === layer && state.head === String(head)),
        onclick: () => { Object.assign(state, { layer, head: String(head) }); again(); },
      }, picture(matrix(heads, layer, head), 1, 34)));
    }
  }
  return place;
}

// What one word looks at, or which words look at it: the most first.
function lookList(run, cells) {
  const { side, at } = state.query;
  const kind = KINDS[state.kind];
  const ids = run[side === "query" ? kind.keys : kind.queries];
  const own = word(run, run[side === "query" ? kind.queries : kind.keys][at]);
  const found = ids.map((id, other) => ({ id, value: side === "query" ? cells.at(at, other) : cells.at(other, at) }));
  const seen = state.kind === "decoder" ? found.filter((_, other) => (side === "query" ? other <= at : other >= at)) : found;
  seen.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const largest = state.minus ? Math.max(1e-9, ...seen.map((each) => Math.abs(each.value))) : 1;
  return table(side === "query" ? `What ${own} looks at` : `Which words look at ${own}`, ["word", { n: "weight" }, ""],
    seen.slice(0, 12).map((each) => row(token(run, each.id), { n: shown(each.value, cells.digits) },
      el("span", { class: "bar", w: Math.abs(each.value) / largest }))), { class: "bars", id: "looks" });
}

parts.push({
  id: "attention",
  title: "Attention",
  heading: "What each word looks at",
  has: (run) => Object.keys(run.attention).length > 0,
  draw(place, run, first) {
    const kinds = Object.keys(run.attention);
    if (!kinds.includes(state.kind)) [state.kind] = kinds;
    const again = () => {
      const average = array(run.attention[state.kind].average);
      const heads = array(run.attention[state.kind].heads);
      state.layer = Math.min(state.layer, average.shape[0] - 1);
      if (!heads || (state.head !== "average" && Number(state.head) >= heads.shape[1])) state.head = "average";
      const can = comparable(run, first);
      if (!can) state.minus = false;
      const cells = weights(run, first);
      const kind = KINDS[state.kind];
      if (state.query && state.query.at >= run[state.query.side === "query" ? kind.queries : kind.keys].length) state.query = null;
      const pick = (query) => {
        state.query = state.query && query.side === state.query.side && query.at === state.query.at ? null : query;
        again();
        const back = place.querySelector('.heat button[aria-pressed="true"]');
        if (back) back.focus();
      };
      const options = heads ? Array.from({ length: heads.shape[1] }, (_, head) => [String(head), `head ${head + 1}`]) : [];
      const change = (name) => (value) => {
        state[name] = name === "layer" ? Number(value) : value;
        if (name === "kind") state.query = null;
        again();
      };
      const read = el("p", { class: "read", id: "read" }, "Point at a cell, or walk with the arrow keys, to read its weight.");
      const grid = heatTable(run, cells, (i, j) => sayCell(run, cells, i, j), pick);
      for (const kindOfEvent of ["mouseover", "focusin"]) {
        grid.addEventListener(kindOfEvent, (event) => {
          const cell = event.target.closest("td[tabindex]");
          if (cell) read.textContent = `${cell.getAttribute("aria-label")} (layer ${state.layer + 1}, ${headName()})`;
        });
      }
      const focused = document.activeElement && document.activeElement.closest("#attention select");
      const label = focused ? focused.parentElement.textContent : null;
      holder.replaceChildren(
        el("div", { class: "controls" },
          choose("attention", kinds.map((each) => [each, KINDS[each].title]), state.kind, change("kind")),
          choose("layer", Array.from({ length: average.shape[0] }, (_, layer) => [layer, String(layer + 1)]), state.layer, change("layer")),
          choose("head", [["average", "average"], ...options], state.head, change("head")),
          can && el("label", {}, el("input", {
            type: "checkbox", id: "minus", checked: state.minus, onchange: (event) => { state.minus = event.target.checked; again(); },
          }), `difference from ${first.name}`)),
        headPictures(run, again) || "", grid, read,
        state.query ? lookList(run, cells) : el("p", { class: "soft" },
          "Click a word to see what it looks at; a word at the top, to see which words look at it."));
      if (label !== null) {
        const same = [...holder.querySelectorAll("label")].find((each) => each.textContent === label);
        if (same) same.querySelector("select").focus();
      }
    };
    const holder = el("div", {});
    add(place, [el("p", {}, "A word\u2019s query meets the key of every word; softmax makes weights of the products, and the weights mix ",
      "the values. Every layer does it with several heads at once."), holder]);
    again();
  },
});
