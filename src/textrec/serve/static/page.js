// The page of `textrec serve`. Everything shown goes through textContent, so a text can hold any markup and stays a text.
"use strict";

const $ = (id) => document.getElementById(id);
const can = new Set(document.documentElement.dataset.can.split(" "));
const chosen = new Map(); // id → title of catalogue texts that somebody new likes
let apiKey = "";

/** An element: attributes, then children (elements or strings). */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (key.startsWith("--")) made.style.setProperty(key, value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// ---------------------------------------------------------------- talking to the service

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method === "POST") headers["Content-Type"] = "application/json";
  if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  const content = await response.json().catch(() => ({}));
  if (response.status === 401) $("key-form").hidden = false;
  if (!response.ok) throw new Error(content.detail || `The service answered ${response.status}.`);
  return content;
}
const post = (path, body) => call("POST", path, body);

function say(text) { $("status").textContent = text; }
function fail(error) {
  $("failure").textContent = error ? error.message.replace(/^body\.?/, "") : "";
  $("failure").hidden = !error;
}

/** Run one task a name; the answer of an older one is dropped. */
const running = new Map();
async function latest(name, region, task) {
  const ticket = Symbol(name);
  running.set(name, ticket);
  fail(null);
  region.setAttribute("aria-busy", "true");
  try {
    const show = await task();
    if (running.get(name) === ticket) show();
  } catch (error) {
    if (running.get(name) === ticket) {
      fail(error);
      for (const ghost of region.querySelectorAll(".ghost")) ghost.remove();
    }
  } finally {
    if (running.get(name) === ticket) region.setAttribute("aria-busy", "false");
  }
}

function later(act, wait = 350) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(act, wait); };
}

// ---------------------------------------------------------------- words and cards

/** The original text from `from` to `to`, words coloured by their weight. */
function coloured(explanation, from, to) {
  const weight = (word) => (explanation.by === "saliency" ? word.saliency : word.contribution);
  const largest = Math.max(1e-12, ...explanation.words.map((word) => Math.abs(weight(word))));
  const parts = [];
  let done = from;
  for (const word of explanation.words) {
    if (word.start === null) {
      parts.push(shade(word.word, weight(word) / largest), " ");
    } else if (word.start >= from && word.end <= to) {
      parts.push(explanation.text.slice(done, word.start), shade(explanation.text.slice(word.start, word.end), weight(word) / largest));
      done = word.end;
    }
  }
  if (explanation.words.every((word) => word.start !== null)) parts.push(explanation.text.slice(done, to));
  return parts;
}

function shade(text, strength) {
  if (Math.abs(strength) < 0.04) return text;
  return el("mark", { class: strength > 0 ? "for" : "against", "--s": Math.abs(strength).toFixed(3) }, text);
}

function bar(share) { return el("span", { class: "bar", "aria-hidden": "true" }, el("i", { "--w": Math.max(0.02, Math.min(1, share)).toFixed(3) })); }

function empty(text) { return el("p", { class: "empty" }, text); }

function ghosts(n) { return Array.from({ length: n }, () => el("div", { class: "ghost", "aria-hidden": "true" })); }

/** A ranked text with its reasons. */
function card(entry, explanation, user) {
  const cut = explanation ? explanation.text.indexOf("\n") : -1;
  const whole = explanation ? explanation.text : entry.title;
  const titleEnd = cut < 0 ? whole.length : cut;
  const isTitle = cut >= 0 || whole.length <= 200;
  const title = el("h3", {}, ...(explanation && isTitle ? coloured(explanation, 0, titleEnd) : [entry.title || entry.item_id]));
  const rest = explanation ? (isTitle ? coloured(explanation, Math.min(titleEnd + 1, whole.length), whole.length) : coloured(explanation, 0, whole.length)) : [];
  const body = rest.length && whole.slice(isTitle ? titleEnd : 0).trim() ? el("p", { class: "text" }, ...rest) : null;
  const facts = el("p", { class: "facts" }, `score ${entry.score.toFixed(3)}`, " · ", el("span", {}, `id ${entry.item_id}`));
  facts.append(...(entry.tags || []).slice(0, 6).map((tag) =>
    el("button", { class: "chip", type: "button", "aria-label": `Only with the tag ${tag}`, on: { click: () => onlyWith(tag) } }, tag)));
  const actions = el("span", { class: "actions" });
  if (user) {
    const like = el("button", { class: "quiet", type: "button", on: { click: () => likeIt(user, entry, like) } }, "I like this");
    actions.append(like);
  }
  actions.append(el("button", { class: "quiet", type: "button", on: { click: () => showItem(entry.item_id) } }, "Open"));
  facts.append(actions);
  const made = el("article", { class: "card", "data-item": entry.item_id }, el("span", { class: "rank", "aria-label": `rank ${entry.rank}` }, String(entry.rank)), title, body, body && clamp(body), facts);
  const likes = explanation ? explanation.because.slice(0, 3).filter((like) => like.share > 0) : [];
  if (likes.length) {
    const most = likes[0].share;
    made.append(el("p", { class: "why" }, user ? "Because of what this reader liked" : "Because you liked"));
    made.append(el("ul", { class: "because" }, ...likes.map((like) =>
      el("li", { title: `${like.share.toFixed(3)} of ${explanation.score.toFixed(3)}` }, bar(like.share / most), el("span", { class: "title" }, like.title || like.item_id)))));
  }
  return made;
}

/** A long text is cut; a button shows the rest. */
function clamp(body) {
  if (body.textContent.length < 520) return null;
  body.classList.add("long");
  const more = el("button", { class: "more", type: "button", "aria-expanded": "false", on: { click: () => {
    const open = body.classList.toggle("long");
    more.textContent = open ? "Show all" : "Show less";
    more.setAttribute("aria-expanded", String(!open));
  } } }, "Show all");
  return el("div", {}, more);
}

// ---------------------------------------------------------------- for a reader

const isNew = () => document.querySelector("input[name=who]:checked").value === "new";

async function recommend() {
  const region = $("reader-results");
  const user = $("user").value.trim();
  const liked = [...chosen.keys(), ...$("liked").value.split(/\n\s*\n/).map((text) => text.trim()).filter(Boolean)];
  if (!isNew() && !user) { region.replaceChildren(empty("Choose a reader first: type an id, or take anybody.")); $("user").focus(); return; }
  if (isNew() && !liked.length) { region.replaceChildren(empty("Paste a title or an abstract you like, or choose a text below.")); $("liked").focus(); return; }
  const whom = isNew() ? { liked } : { user };
  const tag = $("tag").value.trim();
  await latest("recommend", region, async () => {
    if (!region.querySelector(".card")) region.replaceChildren(...ghosts(3));
    const { items } = await post("/v1/recommend", { ...whom, k: Number($("k").value), ...(tag ? { tag } : {}) });
    const reasons = can.has("cold") && items.length ? (await post("/v1/explain", { ...whom, items: items.map((item) => item.item_id) })).explanations : [];
    return () => {
      legend(reasons);
      region.replaceChildren(...(items.length ? items.map((item, place) => card(item, reasons[place], isNew() ? null : user)) : [empty("Nothing is left to recommend here: every text that fits is already liked.")]));
      say(`${items.length} recommendations`);
      if (!isNew()) { history.replaceState(null, "", `#reader=${encodeURIComponent(user)}`); showHistory(user); }
    };
  });
}

function onlyWith(tag) {
  $("tag").value = tag;
  recommend();
  $("tag").focus();
}

function legend(reasons) {
  $("legend").hidden = !reasons.length;
  if (!reasons.length) return;
  $("legend").replaceChildren(...(reasons[0].by === "saliency"
    ? ["The stronger a word, ", el("mark", { class: "for" }, "the more it moves the score"), "."]
    : ["Coloured words carry the score: ", el("mark", { class: "for" }, "orange adds"), ", ", el("mark", { class: "against" }, "blue takes away"), "."]));
}

async function showHistory(user) {
  try {
    const { likes } = await call("GET", `/v1/users/${encodeURIComponent(user)}`);
    const last = likes.slice(-2).map((like) => like.title || like.item_id).join("; ");
    $("history").textContent = likes.length ? `likes ${likes.length.toLocaleString("en")} texts, among them: ${last}` : "has no likes yet";
  } catch { $("history").textContent = ""; }
}

async function likeIt(user, entry, button) {
  button.disabled = true;
  try {
    await post("/v1/likes", { likes: [{ user, item: entry.item_id }] });
    say(`Noted that ${user} likes ${entry.title}`);
    await recommend();
  } catch (error) { fail(error); button.disabled = false; }
}

const suggestUsers = later(async () => {
  const { users } = await call("GET", `/v1/users?k=12&query=${encodeURIComponent($("user").value.trim())}`).catch(() => ({ users: [] }));
  $("users").replaceChildren(...users.map((user) => el("option", { value: user.user_id }, `${user.likes} likes`)));
}, 150);

async function anybody() {
  try {
    const { users } = await call("GET", "/v1/users?k=500");
    if (!users.length) return;
    $("user").value = users[Math.floor(Math.random() * users.length)].user_id;
    await recommend();
  } catch (error) { fail(error); }
}

const suggestTexts = later(async () => {
  const query = $("known").value.trim();
  const { items } = query ? await call("GET", `/v1/items?k=6&query=${encodeURIComponent(query)}`).catch(() => ({ items: [] })) : { items: [] };
  const buttons = items.map((item) => el("li", {}, el("button", { type: "button", on: { click: () => { chosen.set(item.item_id, item.title); $("known").value = ""; $("known-found").replaceChildren(); showChosen(); $("known").focus(); } } }, item.title)));
  $("known-found").replaceChildren(...(query && !buttons.length ? [el("li", { class: "hint" }, "No text holds all these words.")] : buttons));
});

function showChosen() {
  $("chosen").replaceChildren(...[...chosen].map(([id, title]) =>
    el("li", {}, el("button", { type: "button", "aria-label": `Remove ${title}`, on: { click: () => { chosen.delete(id); showChosen(); } } }, title || id))));
}

// ---------------------------------------------------------------- a new text

async function place() {
  const region = $("text-results");
  const text = { title: $("new-title").value, text: $("new-text").value };
  if (!(text.title + text.text).trim()) {
    running.delete("place");
    region.setAttribute("aria-busy", "false");
    $("audience").replaceChildren(empty("Readers appear here as you type."));
    $("predicted").replaceChildren(empty(can.has("tags") ? "Tags appear here." : "This model predicts no tags."));
    $("neighbours").replaceChildren(empty("The nearest texts appear here."));
    return;
  }
  await latest("place", region, async () => {
    const [audience, tags, neighbours] = await Promise.all([
      post("/v1/audience", { ...text, k: 8 }),
      can.has("tags") ? post("/v1/tags", { ...text, k: 8 }) : null,
      can.has("vectors") ? post("/v1/similar", { ...text, k: 8 }) : null,
    ]);
    return () => {
      const most = Math.max(1e-9, ...audience.users.map((user) => user.score));
      $("audience").replaceChildren(el("ol", { class: "plain" }, ...audience.users.map((user) =>
        el("li", {}, el("button", { type: "button", on: { click: () => openReader(user.user_id) } }, `reader ${user.user_id}`), bar(user.score / most)))));
      if (tags) $("predicted").replaceChildren(tags.tags.length ? el("ol", { class: "plain" }, ...tags.tags.map((tag) =>
        el("li", {}, el("span", {}, tag.tag), el("span", { class: "facts" }, `${Math.round(100 * tag.score)} %`)))) : empty("The model learnt no tags."));
      if (neighbours) $("neighbours").replaceChildren(neighbours.items.length ? el("ol", { class: "plain" }, ...neighbours.items.map((item) =>
        el("li", {}, el("button", { class: "serif", type: "button", on: { click: () => showItem(item.item_id) } }, item.title || item.item_id), bar(item.score)))) : empty("Nothing is near."));
      say(`${audience.users.length} readers found`);
    };
  });
}

async function add(event) {
  event.preventDefault();
  const text = { title: $("new-title").value.trim(), text: $("new-text").value.trim() };
  if (!text.title && !text.text) { fail(new Error("Give a title or a text first.")); $("new-title").focus(); return; }
  const tags = $("new-tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
  const id = $("new-id").value.trim() || `new-${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
  fail(null);
  try {
    const { items } = await post("/v1/items", { id, ...text, ...(tags.length ? { tags } : {}) });
    say(items[0].created ? `Added as ${id}` : `${id} was there already`);
    showItem(id, items[0].created ? "Added. It is recommended from now on." : "This text was there already.");
    $("text-form").reset();
    place();
  } catch (error) { fail(error); }
}

// ---------------------------------------------------------------- the catalogue

async function search() {
  const region = $("search-results");
  const query = $("query").value.trim();
  if (!query) { region.replaceChildren(empty("Type a few words: every text that holds all of them is found.")); return; }
  await latest("search", region, async () => {
    region.replaceChildren(...ghosts(2));
    const { items } = await call("GET", `/v1/items?k=20&query=${encodeURIComponent(query)}`);
    return () => {
      region.replaceChildren(items.length ? el("ul", { class: "found", "aria-label": "Texts found" }, ...items.map((item) =>
        el("li", {}, el("button", { type: "button", "data-item": item.item_id, on: { click: () => showItem(item.item_id) } }, item.title || item.item_id, item.source === "added" ? " · added" : ""))))
        : empty(`No text holds all the words of “${query}”. Try fewer words, or a part of one.`));
      say(`${items.length} texts found`);
    };
  });
}

async function showItem(id, note) {
  open("catalogue");
  const region = $("search-results");
  await latest("search", region, async () => {
    region.replaceChildren(...ghosts(2));
    const [item, near, audience] = await Promise.all([
      call("GET", `/v1/items/${encodeURIComponent(id)}`),
      can.has("vectors") ? call("GET", `/v1/items/${encodeURIComponent(id)}/similar?k=6`) : { items: [] },
      post("/v1/audience", { item: id, k: 6 }),
    ]);
    return () => {
      const remove = item.source === "added" ? el("button", { class: "quiet", type: "button", on: { click: () => forget(id) } }, "Delete") : null;
      const title = item.title || (item.text ? "" : item.item_id);
      const body = item.text ? el("p", { class: "text" }, item.text) : null;
      region.replaceChildren(
        ...(note ? [el("p", { class: "notice" }, note)] : []),
        el("article", { class: "card whole", "data-item": id }, title ? el("h3", { tabindex: "-1" }, title) : null, body, body && clamp(body),
          el("p", { class: "facts" }, `id ${id}`, item.source === "added" ? " · added here" : "", ...item.tags.slice(0, 8).map((tag) => el("span", { class: "chip" }, tag)), remove)),
        el("div", { class: "columns two" },
          el("section", {}, el("h2", {}, "Who would want it"), audience.users.length ? el("ol", { class: "plain" }, ...audience.users.map((user) => el("li", {}, el("button", { type: "button", on: { click: () => openReader(user.user_id) } }, `reader ${user.user_id}`), bar(user.score / Math.max(1e-9, audience.users[0].score))))) : empty("Nobody is left who does not like it already.")),
          el("section", {}, el("h2", {}, "Its neighbours"), near.items.length ? el("ol", { class: "plain" }, ...near.items.map((one) => el("li", {}, el("button", { class: "serif", type: "button", on: { click: () => showItem(one.item_id) } }, one.title || one.item_id), bar(one.score)))) : empty("Nothing is near."))));
      history.replaceState(null, "", `#item=${encodeURIComponent(id)}`);
      say(`Showing ${item.title || id}`);
    };
  });
}

async function forget(id) {
  try {
    await call("DELETE", `/v1/items/${encodeURIComponent(id)}`);
    $("search-results").replaceChildren(el("p", { class: "notice" }, "Deleted."));
    say("Deleted");
  } catch (error) { fail(error); }
}

// ---------------------------------------------------------------- tabs, theme, start

const tabs = ["reader", "text", "catalogue"];

function open(name, focus = false) {
  for (const tab of tabs) {
    const here = tab === name;
    $(`tab-${tab}`).setAttribute("aria-selected", String(here));
    $(`tab-${tab}`).tabIndex = here ? 0 : -1;
    $(`panel-${tab}`).hidden = !here;
  }
  $("legend").hidden = name !== "reader" || !document.querySelector("#reader-results .card");
  fail(null);
  if (focus) $(`tab-${name}`).focus();
}

function openReader(user) {
  open("reader");
  document.querySelector("input[name=who][value=user]").checked = true;
  whoChanged();
  $("user").value = user;
  recommend();
}

function whoChanged() {
  $("who-user").hidden = isNew();
  $("who-new").hidden = !isNew();
}

for (const [place_, tab] of tabs.entries()) {
  $(`tab-${tab}`).addEventListener("click", () => open(tab));
  $(`tab-${tab}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) open(tabs[(place_ + step + tabs.length) % tabs.length], true);
  });
}
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts as long as the page */ }
});
try { const kept = localStorage.getItem("theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* no storage */ }
for (const radio of document.querySelectorAll("input[name=who]")) radio.addEventListener("change", whoChanged);
$("reader-form").addEventListener("submit", (event) => { event.preventDefault(); recommend(); });
$("user").addEventListener("input", suggestUsers);
$("anybody").addEventListener("click", anybody);
$("known").addEventListener("input", suggestTexts);
for (const id of ["new-title", "new-text"]) $(id).addEventListener("input", later(place));
$("text-form").addEventListener("submit", add);
$("search-form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
$("query").addEventListener("input", later(search));
$("key-form").addEventListener("submit", (event) => { event.preventDefault(); apiKey = $("key").value.trim(); $("key-form").hidden = true; fail(null); say("The key is used from now on."); });
$("tags-section").hidden = !can.has("tags");
$("text-results").classList.toggle("two", !can.has("tags"));

$("reader-results").replaceChildren(empty("Choose a reader, or say what you like. Each recommendation shows the words and the likes it rests on."));
$("search-results").replaceChildren(empty("Type a few words: every text that holds all of them is found."));
whoChanged();
place();
suggestUsers();
const [what, value] = location.hash.slice(1).split("=");
if (what === "reader" && value) openReader(decodeURIComponent(value));
else if (what === "item" && value) showItem(decodeURIComponent(value));
document.documentElement.dataset.ready = "yes";
