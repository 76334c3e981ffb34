"use strict";
/* The page keeps one conversation: `turns`, each {speaker, text, raw, n_best}. Everything that was said, by people or by
   the model, reaches the page through textContent alone. */
const $ = (id) => document.getElementById(id);
let about = null;
let turns = [];
let kept = { id: null, revision: 0 }; // where the conversation is in the database; another object for another one
let saving = Promise.resolve(); // changes are written one after another
let running = null; // an AbortController while a reply is made
const chosen = {}; // settings by name, as values

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(text, act, className) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function complain(error) {
  $("alert").textContent = error ? String(error.message || error) : "";
  $("alert").hidden = !error;
}

/* --- Requests. */

async function ask(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...(options.body ? { "Content-Type": "application/json" } : {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try { message = (await response.json()).error.message; } catch { /* no JSON: the status must do */ }
  if (response.status === 401) $("key-box").hidden = false;
  const error = new Error(message);
  error.status = response.status;
  throw error;
}

const asJson = async (path, options) => (await ask(path, options)).json();
const sent = (method, content) => ({ method, body: JSON.stringify(content) });

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the connection broke off before the end of the reply");
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ")) continue;
      if (part === "data: [DONE]") return;
      const content = JSON.parse(part.slice(6));
      if (content.error) throw new Error(content.error.message);
      yield content;
    }
  }
}

/* --- What a reply depends on. */

const personaLines = () => $("persona").value.split("\n").map((line) => line.trim()).filter(Boolean);

function settings() {
  const search = { own: {}, greedy: { do_sample: false, num_beams: 1 }, sample: { do_sample: true, num_beams: 1 } }[$("search").value];
  const all = { ...search, ...chosen };
  const draws = ["temperature", "top_p", "top_k"].some((name) => name in all);
  if (draws && !("do_sample" in all)) all.do_sample = true;
  if (draws && !("num_beams" in all)) all.num_beams = 1;
  return all;
}

function messages(until) {
  const persona = personaLines();
  const begin = persona.length ? [{ role: "system", content: persona.join("\n") }] : [];
  return begin.concat(until.map((turn) => turn.speaker === "user"
    ? { role: "user", content: turn.text }
    : { role: "assistant", content: turn.text, ...(turn.raw == null ? {} : { raw: turn.raw }) }));
}

const request = (until) => {
  const { seed, ...others } = settings();
  return { ...others, ...(seed === undefined ? {} : { seed }), model: about.model, dialect: $("dialect").value, messages: messages(until) };
};

/* --- Showing turns. */

function show() {
  $("log").replaceChildren(...turns.map((turn, place) => shown(turn, place)));
  const busy = running !== null;
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  for (const id of ["undo", "retry", "new", "up", "dialect", "search"]) $(id).disabled = busy;
  $("undo").disabled ||= !turns.length;
  $("retry").disabled ||= !turns.some((turn) => turn.speaker === "user");
  $("down").disabled = !turns.length;
}

function shown(turn, place) {
  const item = element("li", `turn ${turn.speaker}`);
  item.append(element("p", "who", turn.speaker === "user" ? "you" : "model"), element("p", "words", turn.text));
  if (turn.pending) item.classList.add("pending");
  if (turn.stopped) item.append(element("p", "note", "stopped here"));
  if (turn.dropped) item.append(element("p", "note", `the model read all but the first ${turn.dropped} turns`));
  if (turn.speaker === "model" && !turn.pending) item.append(...inspection(turn, place));
  return item;
}

function inspection(turn, place) {
  const parts = [];
  if (turn.n_best && turn.n_best.length > 1) {
    const box = element("details");
    const table = element("table");
    turn.n_best.forEach((each, rank) => {
      const row = element("tr");
      const use = element("td");
      if (rank && place === turns.length - 1) use.append(button("say this instead", () => instead(place, each)));
      row.append(element("td", "score", each.score === null ? "" : each.score.toFixed(3)), element("td", "", each.reply), use);
      table.append(row);
    });
    box.append(element("summary", "", `${turn.n_best.length - 1} runner-up replies, with scores`), table);
    parts.push(box);
  }
  if (!turn.stopped) {
    const row = element("p", "row");
    row.append(button("look inside", (event) => lookInside(place, event.currentTarget), "inside"));
    parts.push(row);
  }
  return parts;
}

function grow(text) {
  const item = $("log").lastElementChild;
  item.querySelector(".words").textContent = text;
  item.scrollIntoView({ block: "nearest" });
}

/* --- What the buttons do. */

async function reply() {
  const turn = { speaker: "model", text: "", raw: null, pending: true };
  const until = turns.slice();
  turns.push(turn);
  running = new AbortController();
  complain(null);
  show();
  try {
    const response = await ask("/v1/chat/completions", { ...sent("POST", { ...request(until), stream: true }), signal: running.signal });
    for await (const content of events(response)) {
      const [choice] = content.choices;
      if (!choice) continue;
      if (choice.delta.content) grow(turn.text += choice.delta.content);
      if (choice.npblender) {
        turn.n_best = choice.npblender.n_best;
        turn.raw = choice.npblender.raw;
        turn.dropped = choice.npblender.dropped_turns;
      }
    }
    turn.pending = false;
  } catch (error) {
    turn.pending = false;
    if (error.name !== "AbortError") complain(error);
    if (turn.text) {
      turn.stopped = true; // what was said stays
    } else {
      turns.pop();
      takeBack();
    }
  } finally {
    running = null;
    show();
  }
  keep();
  $("log").lastElementChild?.scrollIntoView({ block: "nearest" });
}

function takeBack() {
  const last = turns.at(-1);
  if (last && last.speaker === "user") {
    turns.pop();
    if (!$("say").value) $("say").value = last.text;
  }
}

async function say(event) {
  event.preventDefault();
  const text = $("say").value.trim();
  if (!text || running || !about) return;
  $("say").value = "";
  turns.push({ speaker: "user", text });
  await reply();
  $("say").focus();
}

async function undo() {
  if (turns.at(-1)?.speaker === "model") turns.pop();
  $("say").value = "";
  takeBack();
  show();
  keep();
  $("say").focus();
}

async function retry() {
  const before = turns.at(-1)?.speaker === "model" ? turns.pop().text : null;
  await reply();
  if (turns.at(-1)?.text === before) complain("The same search found the same reply. Another search, a setting or a runner-up gives another one.");
}

async function instead(place, each) {
  turns[place] = { ...turns[place], text: each.reply, raw: null };
  show();
  keep();
}

function begin() {
  turns = [];
  kept = { id: null, revision: 0 };
  complain(null);
  show();
  $("say").focus();
}

async function lookInside(place, pressed) {
  pressed.disabled = true;
  try {
    const { url } = await asJson("/api/explain", sent("POST", { ...request(turns.slice(0, place + 1)) }));
    window.open(url, "_blank", "noopener");
  } catch (error) { complain(error); }
  pressed.disabled = false;
}

/* --- Transcripts, the same that `npblender chat --save` writes. */

function transcript() {
  const plain = turns.map(({ speaker, text, raw }) => ({ speaker, text, ...(raw == null ? {} : { raw }) }));
  const { seed, ...lasting } = settings();
  return { format: "npblender transcript", version: 1, profile: about.profile, persona: personaLines(), settings: lasting, turns: plain };
}

function take(found) {
  turns = found.turns.map((turn) => ({ raw: null, ...turn }));
  $("persona").value = found.persona.join("\n");
  const { do_sample: draws, num_beams: beams, ...others } = found.settings;
  $("search").value = draws === true && beams === 1 ? "sample" : draws === false && beams === 1 ? "greedy" : "own";
  const own = $("search").value === "own" ? found.settings : others;
  for (const name of Object.keys(chosen)) delete chosen[name];
  Object.assign(chosen, own);
  drawSettings();
  show();
}

function download() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(transcript(), null, 2) + "\n"], { type: "application/json" }));
  link.download = "talk.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function upload() {
  const [file] = $("up").files;
  $("up").value = "";
  if (!file) return;
  try {
    let content;
    try { content = JSON.parse(await file.text()); } catch (error) { throw new Error(`${file.name} is no JSON: ${error.message}`); }
    take(await asJson("/api/transcript", sent("POST", content)));
    kept = { id: null, revision: 0 };
    complain(null);
    keep();
  } catch (error) { complain(error); }
}

/* --- The database. */

function keep() {
  if (!about.keeps) return saving;
  const [place, content] = [kept, transcript()]; // as they are now, whatever is said until they are written
  saving = saving.then(() => write(place, content)).catch(complain);
  return saving;
}

async function write(place, content) {
  if (place.id) {
    const body = sent("PUT", { revision: place.revision, transcript: content });
    place.revision = (await asJson(`/api/conversations/${place.id}`, body)).revision;
  } else if (content.turns.length) {
    Object.assign(place, await asJson("/api/conversations", sent("POST", { transcript: content })));
  }
  await list();
}

async function list() {
  const { conversations } = await asJson("/api/conversations");
  $("history").replaceChildren(...conversations.map((each) => {
    const item = element("li");
    const open = button(`${each.title || "(empty)"} - ${each.turns} turns, ${new Date(each.changed * 1000).toLocaleString()}`, () => resume(each.id), "open");
    open.setAttribute("aria-current", String(kept.id === each.id));
    const forget = button("forget", () => remove(each.id));
    forget.setAttribute("aria-label", `forget ${each.title}`);
    item.append(open, forget);
    return item;
  }));
}

async function resume(id) {
  if (running) return;
  try {
    const found = await asJson(`/api/conversations/${id}`);
    take(found.transcript);
    kept = { id, revision: found.revision };
    complain(null);
    await list();
  } catch (error) { complain(error); }
}

async function remove(id) {
  try {
    await ask(`/api/conversations/${id}`, { method: "DELETE" });
    if (kept.id === id) kept = { id: null, revision: 0 };
    await list();
  } catch (error) { complain(error); }
}

/* --- Settings. */

function drawSettings() {
  const wanted = $("find").value.trim().toLowerCase();
  const defaults = about.defaults[$("dialect").value];
  $("settings").replaceChildren(...about.settings.filter((each) => !wanted || `${each.name} ${each.meaning}`.toLowerCase().includes(wanted)).map((each) => {
    const box = element("div", "setting");
    const label = element("label", "", each.name);
    const input = element("input");
    input.id = label.htmlFor = `setting-${each.name}`;
    input.autocomplete = "off";
    input.placeholder = each.name in defaults ? JSON.stringify(defaults[each.name]) : "";
    input.value = each.name in chosen ? JSON.stringify(chosen[each.name]) : "";
    input.addEventListener("change", () => setSetting(each.name, input.value.trim(), box));
    const meaning = element("p", "", `${each.meaning} (${each.kind})`);
    meaning.id = `meaning-${each.name}`;
    input.setAttribute("aria-describedby", meaning.id);
    box.classList.toggle("set", each.name in chosen);
    box.append(label, input, meaning);
    return box;
  }));
  const count = Object.keys(chosen).length;
  $("settings-count").textContent = count ? `(${count} set)` : "";
}

function setSetting(name, text, box) {
  if (!text) delete chosen[name];
  else try { chosen[name] = JSON.parse(text); } catch { chosen[name] = text; }
  box.classList.toggle("set", name in chosen);
  const count = Object.keys(chosen).length;
  $("settings-count").textContent = count ? `(${count} set)` : "";
}

/* --- The beginning. */

async function start() {
  try {
    about = await asJson("/api/about");
  } catch (error) { complain(error); return; }
  $("key-box").hidden = true;
  $("model").textContent = `${about.model}, version ${about.version}`;
  $("dialect").replaceChildren(...about.dialects.map((name) => new Option(name, name)));
  $("dialect").value = about.dialect;
  $("history-box").hidden = !about.keeps;
  drawSettings();
  show();
  complain(null);
  if (about.keeps) await list().catch(complain);
  $("say").focus();
}

$("form").addEventListener("submit", say);
$("say").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) say(event);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
$("stop").addEventListener("click", () => running?.abort());
for (const [id, act] of [["undo", undo], ["retry", retry], ["new", begin], ["down", download]]) $(id).addEventListener("click", act);
$("up").addEventListener("change", upload);
$("find").addEventListener("input", drawSettings);
$("dialect").addEventListener("change", drawSettings);
$("persona").addEventListener("change", () => turns.length && keep());
$("key-save").addEventListener("click", () => { sessionStorage.setItem("key", $("key").value); start(); });
start();
