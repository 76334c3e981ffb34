// The tree of beams: every path that the search kept, what ended, what was dropped, and both length penalties.

const [STEP_WIDTH, LINE, BOX] = [98, 40, 84];

function places(tree) {
  const counts = new Map();
  return tree.nodes.map((node) => {
    const line = counts.get(node.step) || 0;
    counts.set(node.step, line + 1);
    return { x: 8 + node.step * STEP_WIDTH, y: 24 + line * LINE };
  });
}

function bestPath(tree) {
  const best = new Set();
  const winner = tree.finished.find((each) => each.rank === 1);
  let at = winner ? winner.node : tree.nodes.length - 1;
  while (at !== null) {
    best.add(at);
    at = tree.nodes[at].parent;
  }
  return best;
}

const FATES = { ended: "the reply ended here", "goes on": "went on", dropped: "dropped: other paths were better" };

function sayNode(run, node) {
  return `step ${node.step + 1}, ${word(run, node.token)}: log-probability ${shown(node.log_prob, 4)}, sum ${shown(node.total, 4)}; ${FATES[node.fate]}`;
}

function pathText(run, number) {
  const ids = [];
  let at = number;
  while (at !== null) {
    ids.unshift(run.tree.nodes[at].token);
    at = run.tree.nodes[at].parent;
  }
  return ids.map((id) => word(run, id)).join(" ");
}

function treePicture(run, pick) {
  const { tree } = run;
  const spots = places(tree);
  const best = bestPath(tree);
  const steps = Math.max(...tree.nodes.map((node) => node.step)) + 1;
  const height = Math.max(...spots.map((spot) => spot.y)) + LINE;
  const width = 16 + steps * STEP_WIDTH;
  const edges = tree.nodes.map((node, at) => {
    if (node.parent === null) return null;
    const [from, to] = [spots[node.parent], spots[at]];
    const [x, y, z] = [from.x + BOX, from.y + 15, to.y + 15];
    return drawn("path", { class: `edge${best.has(at) ? " best" : ""}`, d: `M${x} ${y}C${x + 8} ${y} ${to.x - 8} ${z} ${to.x} ${z}` });
  });
  const boxes = tree.nodes.map((node, at) => drawn("g", {
    class: `${node.fate.replace(" ", "-")}${best.has(at) ? " best" : ""}`, role: "button", tabindex: at === 0 ? 0 : -1, "aria-label": sayNode(run, node),
    "data-node": at, transform: `translate(${spots[at].x} ${spots[at].y})`, onclick: () => pick(at), onfocus: () => pick(at),
  }, drawn("title", {}, sayNode(run, node)), drawn("rect", { width: BOX, height: 30, rx: 4 }),
  drawn("text", { x: 6, y: 13 }, short(word(run, node.token), 10)), drawn("text", { class: "total", x: 6, y: 25 }, shown(node.total, 4))));
  const heads = Array.from({ length: steps }, (_, step) => drawn("text", { class: "step", x: 8 + step * STEP_WIDTH, y: 14 }, `step ${step + 1}`));
  const picture = drawn("svg", { class: "tree", id: "tree", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Tree of beams; arrow keys walk it" },
    heads, edges, boxes);
  picture.addEventListener("keydown", (event) => walkTree(event, tree, spots, boxes));
  return el("div", { class: "scroll" }, picture);
}

function short(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}\u2026` : text;
}

// Right and left follow a path; up and down go through the nodes of a step.
function walkTree(event, tree, spots, boxes) {
  const at = boxes.indexOf(event.target.closest("g"));
  if (at < 0) return;
  const node = tree.nodes[at];
  const same = tree.nodes.map((each, n) => n).filter((n) => tree.nodes[n].step === node.step);
  const to = {
    ArrowLeft: node.parent,
    ArrowRight: tree.nodes.findIndex((each) => each.parent === at),
    ArrowUp: same[same.indexOf(at) - 1],
    ArrowDown: same[same.indexOf(at) + 1],
  }[event.key];
  if (to === undefined || to === null || to < 0) return;
  boxes[at].setAttribute("tabindex", -1);
  boxes[to].setAttribute("tabindex", 0);
  boxes[to].focus();
  event.preventDefault();
}

function rankBy(finished, name) {
  const order = [...finished].sort((a, b) => b[name] - a[name]);
  return (each) => order.findIndex((other) => other[name] === each[name]) + 1;
}

function finishedTable(run) {
  const { tree } = run;
  if (!tree.finished.length) return null;
  const [parlai, other] = [rankBy(tree.finished, "parlai"), rankBy(tree.finished, "transformers")];
  const formula = `With \u03b1 = ${tree.length_penalty}: ParlAI divides the sum by ((1 + n) / 6)^\u03b1, n counting start and end; `
    + "transformers by m^\u03b1, m counting the end only.";
  return [table(`Every reply that ended. ${formula}`,
    [{ n: "rank" }, "reply", { n: "sum" }, { n: "n" }, { n: "by ParlAI" }, { n: "" }, { n: "by transformers" }, { n: "" }],
    tree.finished.map((each) => row({ n: each.rank === null ? "not kept" : String(each.rank) },
      el("span", { class: "token" }, each.ids.slice(1).map((id) => word(run, id)).join(" ")), { n: shown(each.total, 4) }, { n: String(each.ids.length) },
      { n: shown(each.parlai, 4) }, { n: `no. ${parlai(each)}` }, { n: shown(each.transformers, 4) },
      { n: el("span", { class: parlai(each) === other(each) ? null : "differs" }, `no. ${other(each)}`) })), { id: "finished" }),
  el("p", { class: "soft small" }, "The rank is the search\u2019s own.")];
}

parts.push({
  id: "beams",
  title: "Beams",
  heading: "How the search went",
  has: (run) => run.tree !== null,
  draw(place, run) {
    const { tree } = run;
    const detail = el("div", { class: "read", id: "node" }, "Choose a node to read its numbers and what was blocked there.");
    const pick = (at) => {
      const node = tree.nodes[at];
      place.querySelectorAll("g[data-node]").forEach((each, n) => each.setAttribute("aria-pressed", n === at));
      detail.replaceChildren(el("p", {}, sayNode(run, node)), el("p", { class: "token" }, pathText(run, at)), blockedList(run, tree.blocked[node.blocked]) || "");
    };
    const rows = tree.nodes.map((node) => row(String(node.step + 1), token(run, node.token), { n: shown(node.log_prob, 4) }, { n: shown(node.total, 4) },
      FATES[node.fate], node.parent === null ? "the start" : word(run, tree.nodes[node.parent].token)));
    const settings = Object.entries(run.settings).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
    add(place, [
      el("p", {}, `${run.search[0].toUpperCase()}${run.search.slice(1)}. Each box is a token of a path with the sum of its log-probabilities so far; the blue path became `,
        "the reply, a green box ends one, a pale one was dropped."),
      el("p", { class: "soft small" }, settings),
      treePicture(run, pick), detail, finishedTable(run),
      el("details", {}, el("summary", {}, "The same as a table"), table("Every node of the tree", ["step", "token", { n: "log-probability" }, { n: "sum" }, "fate", "after"], rows)),
    ]);
  },
});
