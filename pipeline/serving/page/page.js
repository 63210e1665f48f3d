// The page: what is typed goes to the service a moment after the last key, and a newer question makes an older one void.
"use strict";

const WAIT = 150; // milliseconds without a key before a text is sent
const RETRY = 1000; // milliseconds before a service that has no room is asked again
const MOST_BARS = 8;
const FAINT = 0.05; // share of the strongest word below which a word stays plain
const LEAST_SCALE = 0.5; // so that words which hardly matter do not look as if they did
const byId = (id) => document.getElementById(id);
const text = byId("text");
let timer, running, shown, introduced;

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

function element(tag, content = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = content;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

async function ask(path, body, signal) {
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json" } : {},
    body: body && JSON.stringify(body),
    signal,
  }).catch((error) => {
    throw signal?.aborted ? error : new Error("The service does not answer.");
  });
  const answer = await response.json().catch(() => ({ error: `The service answers with status ${response.status}.` }));
  if (!response.ok) throw Object.assign(new Error(answer.error), { busy: response.status === 503 });
  if (answer.model && introduced && answer.model !== introduced) introduce().catch(() => {}); // there is a new champion
  return answer;
}

// Runs `work` unless a newer call comes; shows what went wrong, and asks again where there was no room.
async function latest(work) {
  running?.abort();
  const { signal } = (running = new AbortController());
  try {
    await work(signal);
    byId("problem").textContent = "";
  } catch (error) {
    if (signal.aborted) return;
    byId("problem").textContent = error.message;
    hide();
    if (error.busy) setTimeout(() => signal.aborted || latest(work), RETRY);
  }
}

function hide() {
  byId("result").hidden = byId("lines").hidden = true;
  byId("said").textContent = "";
}

function refresh() {
  const many = document.querySelector("input[name=mode]:checked").value === "many";
  const texts = many ? text.value.split("\n").filter((line) => line.trim()) : [text.value];
  if (!texts.some((each) => each.trim())) {
    running?.abort();
    byId("problem").textContent = "";
    return hide();
  }
  latest(many ? (signal) => showLines(texts, signal) : (signal) => explain(texts[0], signal));
}

// The label comes first, then what takes longer: the words.
async function explain(raw, signal) {
  const words = explained(raw, signal);
  words.catch(() => {}); // told below, once there is a label
  label(await ask("/predict", { text: raw }, signal));
  byId("lines").hidden = true;
  await showOf(words, signal);
}

// The words of a text, asked for until there is room.
async function explained(raw, signal) {
  for (;;) {
    try {
      return await ask("/explain", { text: raw }, signal);
    } catch (error) {
      if (!error.busy) throw error;
      byId("words").textContent = "The words follow as soon as there is room.";
      await new Promise((done) => setTimeout(done, RETRY));
      signal.throwIfAborted();
    }
  }
}

// Whatever becomes of the words, the label stays.
async function showOf(words, signal) {
  try {
    show(await words);
  } catch (error) {
    if (signal.aborted) throw error;
    byId("words").textContent = `The words are missing: ${error.message}`;
    byId("result").removeAttribute("aria-busy");
  }
}

async function showLines(texts, signal) {
  const { predictions } = await ask("/predict/batch", { texts }, signal);
  const rows = predictions.map((each, number) => {
    const row = element("tr");
    const cell = element("td");
    const button = element("button", texts[number].trim(), { type: "button", "aria-pressed": "false", dir: "auto" });
    button.addEventListener("click", () => choose(button, texts[number]));
    cell.append(button);
    row.append(cell, element("td", each.predicted_label, { class: "name", dir: "auto" }), element("td", percent(each.confidence), { class: "number" }));
    return row;
  });
  byId("lines").querySelector("tbody").replaceChildren(...rows);
  byId("lines").hidden = false;
  byId("result").hidden = true;
  const counts = new Map();
  for (const { predicted_label: label } of predictions) counts.set(label, (counts.get(label) ?? 0) + 1);
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${count} ${label}`);
  byId("said").textContent = byId("lines-title").textContent = `${texts.length} in all: ${parts.join(", ")}`;
}

function choose(button, raw) {
  for (const each of byId("lines").querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
  latest(async (signal) => {
    label(await ask("/predict", { text: raw }, signal));
    await showOf(explained(raw, signal), signal);
  });
}

const rank = (answer) => Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);

function label(answer) {
  const ranked = rank(answer);
  byId("label").replaceChildren(element("b", answer.predicted_label, { dir: "auto" }), " ", element("span", percent(answer.confidence)));
  const bars = ranked.slice(0, MOST_BARS).map(([name, share]) => {
    const item = element("li");
    const track = element("div", "", { class: "track", "aria-hidden": "true" });
    const bar = element("i");
    bar.style.width = `${100 * share}%`;
    track.append(bar);
    item.append(element("span", name, { dir: "auto" }), track, element("span", percent(share), { class: "share" }));
    return item;
  });
  byId("bars").replaceChildren(...bars);
  byId("result").hidden = false;
  byId("result").setAttribute("aria-busy", "true");
  byId("said").textContent = `${answer.predicted_label}, ${percent(answer.confidence)}`;
}

function show(answer) {
  const ranked = rank(answer);
  const select = byId("class");
  const kept = shown && select.value !== shown.predicted_label && Object.hasOwn(answer.probabilities, select.value);
  const chosen = kept ? select.value : answer.predicted_label;
  select.replaceChildren(...ranked.map(([name]) => element("option", name, { value: name })));
  select.value = chosen;
  shown = answer;
  colour();
  byId("result").removeAttribute("aria-busy");
  const telling = answer.words
    .filter((each) => each.adds[answer.predicted_label] > 0)
    .sort((a, b) => b.adds[answer.predicted_label] - a.adds[answer.predicted_label])
    .slice(0, 3)
    .map((each) => each.word);
  if (telling.length) byId("said").textContent += `. Most telling: ${telling.join(", ")}`;
}

function colour() {
  const name = byId("class").value;
  const scale = Math.max(LEAST_SCALE, ...shown.words.map((each) => Math.abs(each.adds[name])));
  const characters = [...shown.text]; // spans count code points, JavaScript's strings half of a pair
  const pieces = [];
  let end = 0;
  for (const { span, adds } of shown.words) {
    pieces.push(characters.slice(end, span[0]).join(""));
    const word = characters.slice(...span).join("");
    const strength = Math.abs(adds[name]) / scale;
    if (strength < FAINT) {
      pieces.push(word);
    } else {
      const title = `${adds[name] > 0 ? "+" : "−"}${Math.abs(adds[name]).toFixed(2)}`;
      const mark = element("mark", word, { class: adds[name] > 0 ? "for" : "against", title });
      mark.style.setProperty("--strength", `${Math.round(100 * strength)}%`);
      pieces.push(mark);
    }
    end = span[1];
  }
  pieces.push(characters.slice(end).join(""));
  byId("words").replaceChildren(...pieces);

  const sorted = [...shown.words].sort((a, b) => Math.abs(b.adds[name]) - Math.abs(a.adds[name])).slice(0, 50);
  const rows = sorted.map(({ word, adds }) => {
    const row = element("tr");
    row.append(element("td", word, { dir: "auto" }), element("td", adds[name].toFixed(2).replace("-", "−"), { class: "number" }));
    return row;
  });
  byId("word-rows").replaceChildren(...rows);
}

async function introduce() {
  const model = await ask("/model");
  const figure = model.figures.macro_f1 ? `, macro-F1 ${model.figures.macro_f1.toFixed(3)} on its test texts` : "";
  introduced = model.version ? `${model.name} version ${model.version}` : model.name;
  byId("model").textContent = `${introduced}: ${model.classes.length} classes, language ${model.language}${figure}`;
  byId("examples").hidden = model.language !== "en";
}

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(refresh, WAIT);
});
for (const each of document.querySelectorAll("input[name=mode]")) each.addEventListener("change", refresh);
for (const each of byId("examples").querySelectorAll("button")) {
  each.addEventListener("click", () => {
    text.value = each.textContent;
    refresh();
  });
}
byId("class").addEventListener("change", colour);
byId("form").addEventListener("submit", (event) => event.preventDefault());
introduce().catch(() => {}); // the page works without; what is typed will say what is wrong
if (text.value.trim()) refresh(); // what the browser kept over a reload
