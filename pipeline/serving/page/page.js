// The page: a text is sent shortly after the last key, and a newer request replaces an older one.
"use strict";

const TYPING_PAUSE = 150; // milliseconds without a key before a text is sent
const RETRY_DELAY = 1000; // milliseconds before a request is repeated that the service had no room for
const MAX_BARS = 8;
const MAX_WORD_ROWS = 50;
const MIN_STRENGTH = 0.05; // share of the largest contribution below which a word is not coloured
const MIN_SCALE = 0.5; // contribution with full colour at least, so that weak words do not look strong
const byId = (id) => document.getElementById(id);
const input = byId("text");
let typingTimer;
let current; // AbortController of the newest request
let explanation; // the one that is shown
let modelTitle;

const percent = (probability) => `${(100 * probability).toFixed(1)}\u00a0%`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
const ranked = (answer) => Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function element(tag, content = "", attributes = {}) {
  const created = document.createElement(tag);
  created.textContent = content;
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  return created;
}

// Requests

async function request(path, body, signal) {
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json" } : {},
    body: body && JSON.stringify(body),
    signal,
  }).catch((error) => {
    throw signal?.aborted ? error : new Error("The service does not answer.");
  });
  const answer = await response.json().catch(() => ({ error: `The service returned status ${response.status}.` }));
  if (!response.ok) {
    const message = answer.error.replace(/texts\[(\d+)\]/, (_, index) => `text ${Number(index) + 1}`);
    throw Object.assign(new Error(message), { busy: response.status === 503 });
  }
  if (answer.model && modelTitle && answer.model !== modelTitle) showModel().catch(() => {}); // a new champion
  return answer;
}

// Runs `work` and cancels what ran before; shows an error, and retries if the service is busy.
async function runLatest(work) {
  current?.abort();
  const { signal } = (current = new AbortController());
  try {
    await work(signal);
    byId("problem").textContent = "";
  } catch (error) {
    if (signal.aborted) return;
    byId("problem").textContent = error.message;
    hideResults();
    if (error.busy) setTimeout(() => signal.aborted || runLatest(work), RETRY_DELAY);
  }
}

// The prediction comes first, then the explanation, which takes longer.
async function predictAndExplain(text, signal) {
  const explaining = explain(text, signal);
  explaining.catch(() => {}); // handled in showExplanationOf, once there is a label
  showPrediction(await request("/predict", { text }, signal));
  byId("lines").hidden = true;
  await showExplanationOf(explaining, signal);
}

// Explains a text; repeats the request until the service has room.
async function explain(text, signal) {
  for (;;) {
    try {
      return await request("/explain", { text }, signal);
    } catch (error) {
      if (!error.busy) throw error;
      byId("words").textContent = "The service is busy; the words will follow.";
      await pause(RETRY_DELAY);
      signal.throwIfAborted();
    }
  }
}

// The prediction stays even if its explanation fails.
async function showExplanationOf(explaining, signal) {
  try {
    showExplanation(await explaining);
  } catch (error) {
    if (signal.aborted) throw error;
    byId("words").textContent = `No explanation: ${error.message}`;
    byId("result").removeAttribute("aria-busy");
  }
}

async function predictLines(texts, signal) {
  const { predictions } = await request("/predict/batch", { texts }, signal);
  byId("lines").querySelector("tbody").replaceChildren(...predictions.map((row, index) => lineRow(texts[index], row)));
  byId("lines").hidden = false;
  byId("result").hidden = true;
  const counts = new Map();
  for (const { predicted_label: label } of predictions) counts.set(label, (counts.get(label) ?? 0) + 1);
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${count} ${label}`);
  const title = `${texts.length} ${texts.length === 1 ? "text" : "texts"}: ${parts.join(", ")}`;
  byId("announcement").textContent = byId("lines-title").textContent = title;
}

function selectLine(button, text) {
  for (const other of byId("lines").querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
  runLatest(async (signal) => {
    showPrediction(await request("/predict", { text }, signal));
    await showExplanationOf(explain(text, signal), signal);
  });
}

// Output

function hideResults() {
  byId("result").hidden = byId("lines").hidden = true;
  byId("announcement").textContent = "";
}

async function showModel() {
  const model = await request("/model");
  modelTitle = model.version ? `${model.name} version ${model.version}` : model.name;
  const language = new Intl.DisplayNames(["en"], { type: "language" }).of(model.language);
  const facts = [modelTitle, `${model.classes.length} classes`, language];
  if (model.figures.macro_f1) facts.push(`macro-F1 ${model.figures.macro_f1.toFixed(3)} on the test set`);
  byId("model").textContent = facts.join(" · ");
  byId("examples").hidden = model.language !== "en";
}

function lineRow(text, { predicted_label: label, confidence, known_words: knownWords }) {
  const button = element("button", text.trim(), { type: "button", "aria-pressed": "false", dir: "auto" });
  button.addEventListener("click", () => selectLine(button, text));
  const cell = element("td");
  cell.append(button);
  const row = element("tr");
  const name = element("td", label, { class: "name", dir: "auto" });
  if (!knownWords) name.append(element("span", "no known word", { class: "warning" }));
  row.append(cell, name, element("td", percent(confidence), { class: "number" }));
  return row;
}

function showPrediction(answer) {
  const { predicted_label: label, confidence } = answer;
  byId("label").replaceChildren(element("b", label, { dir: "auto" }), " ", element("span", percent(confidence)));
  byId("unknown").hidden = answer.known_words > 0;
  byId("bars").replaceChildren(...ranked(answer).slice(0, MAX_BARS).map(([name, probability]) => barRow(name, probability)));
  byId("result").hidden = false;
  byId("result").setAttribute("aria-busy", "true");
  byId("announcement").textContent = `${label}, ${percent(confidence)}${answer.known_words ? "" : ", but no word is known"}`;
}

function barRow(name, probability) {
  const bar = element("i");
  bar.style.width = `${100 * probability}%`;
  const track = element("div", "", { class: "track", "aria-hidden": "true" });
  track.append(bar);
  const row = element("li");
  row.append(element("span", name, { dir: "auto" }), track, element("span", percent(probability), { class: "probability" }));
  return row;
}

function showExplanation(answer) {
  const select = byId("class");
  const chosen = select.value;
  // The class that the user has chosen stays chosen; otherwise it is the predicted one.
  const keep = explanation && chosen !== explanation.predicted_label && Object.hasOwn(answer.probabilities, chosen);
  select.replaceChildren(...ranked(answer).map(([name]) => element("option", name, { value: name })));
  select.value = keep ? chosen : answer.predicted_label;
  explanation = answer;
  showWords();
  byId("result").removeAttribute("aria-busy");
  const contribution = (word) => word.adds[answer.predicted_label];
  const strongest = answer.words.filter((word) => contribution(word) > 0).sort((a, b) => contribution(b) - contribution(a));
  const words = strongest.slice(0, 3).map(({ word }) => word);
  if (words.length) byId("announcement").textContent += `. Strongest words: ${words.join(", ")}`;
}

// Shows the words of the explanation, coloured by their contribution to the chosen class.
function showWords() {
  const name = byId("class").value;
  const scale = Math.max(MIN_SCALE, ...explanation.words.map(({ adds }) => Math.abs(adds[name])));
  const characters = [...explanation.text]; // spans count code points, JavaScript strings count UTF-16 units
  const pieces = [];
  let end = 0;
  for (const { span, adds } of explanation.words) {
    pieces.push(characters.slice(end, span[0]).join(""));
    pieces.push(colouredWord(characters.slice(...span).join(""), adds[name], scale));
    end = span[1];
  }
  pieces.push(characters.slice(end).join(""));
  byId("words").replaceChildren(...pieces);

  const sorted = [...explanation.words].sort((a, b) => Math.abs(b.adds[name]) - Math.abs(a.adds[name]));
  byId("word-rows").replaceChildren(...sorted.slice(0, MAX_WORD_ROWS).map(({ word, adds }) => wordRow(word, adds[name])));
}

function colouredWord(word, contribution, scale) {
  const strength = Math.abs(contribution) / scale;
  if (strength < MIN_STRENGTH) return word;
  const mark = element("mark", word, { class: contribution > 0 ? "for" : "against", title: signed(contribution) });
  mark.style.setProperty("--strength", `${Math.round(100 * strength)}%`);
  return mark;
}

function wordRow(word, contribution) {
  const row = element("tr");
  row.append(element("td", word, { dir: "auto" }), element("td", signed(contribution), { class: "number" }));
  return row;
}

// Input

function refresh() {
  const many = document.querySelector("input[name=mode]:checked").value === "many";
  const texts = (many ? input.value.split("\n") : [input.value]).filter((text) => text.trim());
  if (texts.length) {
    runLatest((signal) => (many ? predictLines(texts, signal) : predictAndExplain(texts[0], signal)));
  } else {
    current?.abort();
    byId("problem").textContent = "";
    hideResults();
  }
}

input.addEventListener("input", () => {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(refresh, TYPING_PAUSE);
});
for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", refresh);
for (const example of byId("examples").querySelectorAll("button")) {
  example.addEventListener("click", () => {
    input.value = example.textContent;
    refresh();
  });
}
byId("class").addEventListener("change", showWords);
byId("form").addEventListener("submit", (event) => event.preventDefault());
showModel().catch(() => {}); // the page works without it; a request for a text shows what is wrong
if (input.value.trim()) refresh(); // the browser restored a text after a reload
