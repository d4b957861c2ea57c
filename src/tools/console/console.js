// Everything works without this script, except that pages are loaded again by hand.
"use strict";

// Rows kept in a live list; older ones are behind "Load more".
const MOST_ROWS = 500;

function rowsOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.querySelectorAll("tr")];
}

// The list of runs: new rows on top, changed rows in their place.
function follow(table) {
  const body = table.tBodies[0];
  const live = document.getElementById("live");
  const empty = document.getElementById("empty");
  const source = new EventSource(table.dataset.stream);
  const number = (row) => Number(row.dataset.number);
  source.addEventListener("rows", (event) => {
    for (const row of rowsOf(event.data)) {
      const old = document.getElementById(row.id);
      if (old) {
        const focused = old.contains(document.activeElement);
        old.replaceWith(row);
        if (focused) row.querySelector("a").focus();
        continue;
      }
      const below = [...body.rows].find((other) => number(other) < number(row));
      // A row older than the whole page belongs to a later one.
      if (!below && body.rows.length >= Number(table.dataset.page)) continue;
      row.classList.add("new");
      body.insertBefore(row, below || null);
    }
    while (body.rows.length > MOST_ROWS) {
      body.rows[body.rows.length - 1].remove();
      document.getElementById("more").hidden = false;
    }
    empty.hidden = body.rows.length > 0;
  });
  source.addEventListener("gone", (event) => {
    for (const place of event.data.split(" ")) document.getElementById("row-" + place)?.remove();
    empty.hidden = body.rows.length > 0;
  });
  // Too many changes at once: the newest page replaces the list.
  source.addEventListener("reload", () => refreshList(table));
  let lost = false;
  source.onopen = () => {
    live.textContent = "live";
    live.classList.remove("off");
    if (lost) refreshList(table);
    lost = false;
  };
  source.onerror = () => {
    lost = true;
    live.textContent = "connecting";
    live.classList.add("off");
  };
}

let loading = false;
async function refreshList(table) {
  if (loading) return;
  loading = true;
  try {
    const page = await load(location.href);
    const fresh = page?.getElementById("runs");
    if (fresh) {
      table.tBodies[0].replaceWith(fresh.tBodies[0]);
      document.getElementById("more").hidden = page.getElementById("more").hidden;
    }
    document.getElementById("empty").hidden = table.tBodies[0].rows.length > 0;
  } finally {
    loading = false;
  }
}

async function load(address) {
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

// "Load more" appends to the list.
function more(table) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("#more");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const address = new URL(link.href);
    const rows = table.tBodies[0].rows;
    address.searchParams.set("before", rows[rows.length - 1].dataset.number);
    const page = await load(address);
    if (!page) return location.assign(address);
    table.tBodies[0].append(...page.getElementById("runs").tBodies[0].rows);
    link.hidden = page.getElementById("more").hidden;
  });
}

// A run that goes on is read again until it ends. Opened parts stay open.
function refresh(run) {
  const pause = Number(run.dataset.refresh);
  if (!pause) return;
  setTimeout(async () => {
    const typing = run.contains(document.activeElement) && /INPUT|TEXTAREA/.test(document.activeElement.tagName);
    const page = typing || document.hidden ? null : await load(location.href);
    const fresh = page?.getElementById("run");
    if (!fresh) return refresh(run);
    const open = new Set([...run.querySelectorAll("details[open][id]")].map((one) => one.id));
    const known = new Set([...run.querySelectorAll("details[id]")].map((one) => one.id));
    for (const one of fresh.querySelectorAll("details[id]")) {
      if (known.has(one.id)) one.open = open.has(one.id);
    }
    const focused = document.activeElement?.id;
    const scrolled = run.querySelector(".drawing")?.scrollTop;
    run.replaceWith(fresh);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const drawing = fresh.querySelector(".drawing");
    if (drawing && scrolled) drawing.scrollTop = scrolled;
    refresh(fresh);
  }, pause);
}

// A state of the graph opens its panel.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const panel = target.closest("details");
  if (panel) panel.open = true;
  for (const one of document.querySelectorAll(".chosen")) one.classList.remove("chosen");
  target.classList.add("chosen");
  target.scrollIntoView({ block: "nearest" });
}

// JSON is checked while it is typed.
function validate(area) {
  const hint = document.getElementById("validity");
  const limit = Number(area.dataset.limit);
  const check = () => {
    const text = area.value;
    const bytes = new TextEncoder().encode(text).length;
    let [kind, words] = ["", "text, not JSON"];
    if (/^\s*[[{"]/.test(text)) {
      try {
        JSON.parse(text);
        [kind, words] = ["good", "valid JSON"];
      } catch (error) {
        [kind, words] = ["bad", "not JSON yet: " + error.message];
      }
    }
    if (bytes > limit) [kind, words] = ["bad", "too long for a topic message"];
    hint.className = "hint " + kind;
    hint.textContent = `${bytes} of ${limit} bytes; ${words}`;
  };
  area.addEventListener("input", check);
  if (area.value) check();
}

// `/` goes to the search, j and k through the list.
function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/INPUT|TEXTAREA|SELECT/.test(document.activeElement?.tagName ?? "")) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
    if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll("#runs td.message > a, .visit > summary")];
      const at = links.indexOf(document.activeElement);
      const next = links[at + (event.key === "j" ? 1 : -1)] ?? links[0];
      next?.focus();
    }
  });
}

const table = document.getElementById("runs");
if (table) {
  more(table);
  if (table.dataset.stream) follow(table);
}
const run = document.getElementById("run");
if (run) refresh(run);
const area = document.querySelector("textarea[data-limit]");
if (area) validate(area);
addEventListener("hashchange", reveal);
reveal();
keys();
