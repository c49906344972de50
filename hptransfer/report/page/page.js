"use strict";
// Remembers where the reader was, so that a page that is rewritten while a study runs reads on undisturbed.
const Memory = (() => {
  const place = "hptransfer:" + location.pathname;
  const fields = () => [...document.querySelectorAll("select")].filter((s) => s.id);
  // Storage may be refused to a page opened from disk; then the page merely forgets.
  function read(store, key) { try { return JSON.parse(store.getItem(key)); } catch { return null; } }
  function write(store, key, value) { try { store.setItem(key, JSON.stringify(value)); } catch { /* forgets */ } }
  function save() {
    const picks = Object.fromEntries(fields().map((s) => [s.id, s.selectedOptions.length ? s.selectedOptions[0].textContent : ""]));
    write(sessionStorage, place, { picks, sort: Table.order(), scroll: window.scrollY });
  }
  function restore() {
    const kept = read(sessionStorage, place);
    if (!kept) return;
    for (const select of fields()) {
      const option = [...select.options].find((o) => o.textContent === (kept.picks || {})[select.id]);
      if (option && !option.selected) { option.selected = true; select.dispatchEvent(new Event("change")); }
    }
    if (kept.sort) Table.sort(kept.sort[0], kept.sort[1]);
    if (kept.scroll) window.scrollTo(0, kept.scroll);
  }
  return { save, restore, read, write, place };
})();

// The table of cells: sort by a heading, filter by the lists above it.
const Table = (() => {
  const table = document.getElementById("cells");
  const filters = [...document.querySelectorAll("[data-filter]")];
  let order = null;
  function apply() {
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = filters.some((f) => f.value !== "" && row.dataset[f.dataset.filter] !== f.value);
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("count").textContent = `${shown} of ${table.tBodies[0].rows.length} cells`;
  }
  function sort(column, direction) {
    const heads = [...table.tHead.rows[0].cells];
    if (!heads[column]) return;
    order = [column, direction];
    heads.forEach((h, i) => (i === column ? h.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending") : h.removeAttribute("aria-sort")));
    const value = (row) => row.cells[column].dataset.v;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      if (p === "" || q === "") return (p === "") - (q === ""); // what is unknown comes last either way
      const [m, n] = [Number(p), Number(q)];
      return direction * (Number.isNaN(m) || Number.isNaN(n) ? p.localeCompare(q) : m - n);
    });
    table.tBodies[0].append(...rows);
  }
  if (table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        sort(column, order && order[0] === column ? -order[1] : 1);
        Memory.save();
      });
    });
    filters.forEach((f) => f.addEventListener("change", () => { apply(); Memory.save(); }));
    apply();
  }
  return { sort: (c, d) => table && sort(c, d), order: () => order };
})();

// Light and dark: as the system says until the reader chooses.
(() => {
  const button = document.getElementById("theme"), root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const chosen = Memory.read(localStorageOrNull(), "hptransfer:theme");
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  function label() { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-pressed", String(isDark())); }
  function localStorageOrNull() { try { return window.localStorage; } catch { return { getItem: () => null, setItem: () => null }; } }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    Memory.write(localStorageOrNull(), "hptransfer:theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();
})();

// Values of anything that carries them: pointer, and arrow keys inside a heat map.
(() => {
  for (const node of document.querySelectorAll("[data-tip]")) {
    const show = () => { const box = node.getBoundingClientRect(); Hover.show(node.dataset.tip, box.left + box.width / 2, box.top); };
    node.addEventListener("pointerenter", show);
    node.addEventListener("pointerleave", Hover.hide);
    node.addEventListener("focus", show);
    node.addEventListener("blur", Hover.hide);
  }
  for (const heat of document.querySelectorAll(".heat")) {
    heat.addEventListener("keydown", (event) => {
      const [down, across] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] || [0, 0];
      const cell = event.target.closest("td");
      if (!cell || (!down && !across)) return;
      event.preventDefault();
      const row = heat.rows[cell.parentElement.rowIndex + down];
      const next = row && row.cells[cell.cellIndex + across];
      if (next && next.tabIndex !== undefined && next.matches("td[data-tip]")) { cell.tabIndex = -1; next.tabIndex = 0; next.focus(); }
    });
  }
})();

for (const host of document.querySelectorAll("[data-chart]")) {
  Charts.draw(host, JSON.parse(document.getElementById("data-" + host.dataset.chart).textContent));
}
for (const slot of document.querySelectorAll("[data-sample]")) slot.replaceWith(Charts.sample(JSON.parse(slot.dataset.sample)));
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select and copy"; }
  });
}
Memory.restore();
window.addEventListener("pagehide", Memory.save);

// While a study runs its page is rewritten: look again, but never under the reader's hands.
(() => {
  const body = document.body;
  if (!body.dataset.running) return;
  const key = Memory.place + ":seen", now = Date.now(), quietFor = 10 * 60 * 1000;
  let seen = Memory.read(sessionStorage, key);
  if (!seen || seen.stamp !== body.dataset.stamp) { seen = { stamp: body.dataset.stamp, since: now }; Memory.write(sessionStorage, key, seen); }
  const quiet = now - seen.since > quietFor;
  const words = document.getElementById("following"), button = document.getElementById("follow");
  let on = true, touched = 0;
  for (const kind of ["pointermove", "keydown", "scroll", "touchstart"]) window.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  function say() {
    words.textContent = !on ? "Not following." : quiet ? "No news for ten minutes; the study may have stopped." : "This page follows along.";
    button.textContent = on ? "Stop following" : "Follow";
  }
  button.addEventListener("click", () => { on = !on; say(); });
  function look() {
    if (on && !document.hidden && Date.now() - touched > 4000) { Memory.save(); location.reload(); return; }
    setTimeout(look, 2000);
  }
  setTimeout(look, (quiet ? 60 : Number(body.dataset.every)) * 1000);
  say();
})();
