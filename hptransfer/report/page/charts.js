"use strict";
// Draws the charts that lie in the page as data. It knows lines, points and axes; every text comes ready made and
// is only ever set as text, never as markup.
const Charts = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const W = 340, H = 250, LEFT = 42, TOP = 20, BOTTOM = 38;

  function el(name, attributes, parent, text) {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function html(name, className, parent, text) {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  function coloured(node, line) {
    node.classList.add("c");
    node.style.setProperty("--l", line.light);
    node.style.setProperty("--d", line.dark);
    return node;
  }

  const polygon = (points) => "M" + points.map((p) => p.join(" ")).join("L") + "Z";
  const SHAPES = {
    o: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
    s: (r) => polygon([[-r, -r], [r, -r], [r, r], [-r, r]]),
    D: (r) => polygon([[0, -1.35 * r], [1.35 * r, 0], [0, 1.35 * r], [-1.35 * r, 0]]),
    "^": (r) => polygon([[0, -1.3 * r], [1.25 * r, r], [-1.25 * r, r]]),
    v: (r) => polygon([[0, 1.3 * r], [1.25 * r, -r], [-1.25 * r, -r]]),
    "<": (r) => polygon([[-1.3 * r, 0], [r, -1.25 * r], [r, 1.25 * r]]),
    ">": (r) => polygon([[1.3 * r, 0], [-r, -1.25 * r], [-r, 1.25 * r]]),
    P: (r) => { const k = r / 2.4; return polygon([[-k, -r], [k, -r], [k, -k], [r, -k], [r, k], [k, k], [k, r], [-k, r], [-k, k], [-r, k], [-r, -k], [-k, -k]]); },
    X: (r) => polygon([[-r, -r], [0, -r / 2], [r, -r], [r / 2, 0], [r, r], [0, r / 2], [-r, r], [-r / 2, 0]]),
    h: (r) => polygon([[0, -1.2 * r], [r, -0.6 * r], [r, 0.6 * r], [0, 1.2 * r], [-r, 0.6 * r], [-r, -0.6 * r]]),
  };
  const shape = (marker, r) => (SHAPES[marker] || SHAPES.o)(r);

  function sample(line) {
    const svg = coloured(el("svg", { class: "sample", viewBox: "0 0 30 12", "aria-hidden": "true" }), line);
    svg.style.color = "inherit";
    if (!line.dots) el("path", { d: "M0 6H30", stroke: "var(--c)", "stroke-width": 2, "stroke-dasharray": (line.dash || []).join(" "), fill: "none" }, svg);
    el("path", { d: shape(line.marker, 3.4), transform: "translate(15 6)", fill: "var(--c)" }, svg);
    return svg;
  }

  function dotted() {
    const svg = el("svg", { class: "sample", viewBox: "0 0 30 12", "aria-hidden": "true" });
    el("line", { class: "ref", x1: 0, x2: 30, y1: 6, y2: 6 }, svg);
    return svg;
  }

  // Moves neighbours apart so that labels do not overlap, keeping their order.
  function spread(items, gap, low, high) {
    items.sort((a, b) => a.y - b.y);
    items.forEach((item) => { item.at = Math.min(Math.max(item.y, low), high); });
    for (let round = 0; round < 60; round++) {
      for (let i = 1; i < items.length; i++) {
        const short = gap - (items[i].at - items[i - 1].at);
        if (short > 0) { items[i].at += short / 2; items[i - 1].at -= short / 2; }
      }
      if (items.length && items[0].at < low) items[0].at = low;
      if (items.length && items[items.length - 1].at > high) items[items.length - 1].at = high;
    }
  }

  function panelSvg(panel, direct) {
    const longest = Math.max(0, ...panel.lines.map((line) => line.name.length));
    const right = direct ? Math.min(120, 18 + 7 * longest) : 12;
    const svg = el("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, tabindex: 0, role: "application", "aria-roledescription": "chart" });
    const x = (v) => LEFT + ((v - panel.x.low) / (panel.x.high - panel.x.low)) * (W - LEFT - right);
    const y = (v) => H - BOTTOM - ((v - panel.y.low) / (panel.y.high - panel.y.low)) * (H - TOP - BOTTOM);
    svg.setAttribute("aria-label", `${panel.title}: ${panel.y.label} against ${panel.x.label}, ${panel.lines.length} lines. Arrow keys move along the points.`);
    const clip = "clip" + (panelSvg.count = (panelSvg.count || 0) + 1);
    const defs = el("defs", {}, svg);
    el("rect", { x: LEFT - 4, y: TOP, width: W - LEFT - right + 8, height: H - TOP - BOTTOM + 4 }, el("clipPath", { id: clip }, defs));
    axes(svg, panel, x, y, right);
    for (const rule of panel.rules) {
      if (rule.x !== undefined) {
        el("line", { class: "ref", x1: x(rule.x), x2: x(rule.x), y1: TOP, y2: H - BOTTOM }, svg);
      } else {
        el("line", { class: "ref", x1: LEFT, x2: W - right, y1: y(rule.y), y2: y(rule.y) }, svg);
      }
    }
    const targets = [], ends = [];
    panel.lines.forEach((line, index) => drawLine(svg, panel, line, index, x, y, clip, targets, ends));
    if (direct) labels(svg, ends, W - right);
    el("path", { class: "ring", d: "", visibility: "hidden" }, svg);
    Hover.attach(svg, targets);
    return svg;
  }

  function axes(svg, panel, x, y, right) {
    for (const [place, text] of panel.y.ticks) {
      if (y(place) < TOP - 1 || y(place) > H - BOTTOM + 1) continue;
      el("line", { class: "grid", x1: LEFT, x2: W - right, y1: y(place), y2: y(place) }, svg);
      el("text", { x: LEFT - 6, y: y(place) + 3.5, "text-anchor": "end" }, svg, text);
    }
    for (const [place, text] of panel.x.ticks) {
      el("line", { class: "grid", x1: x(place), x2: x(place), y1: TOP, y2: H - BOTTOM }, svg);
      el("text", { x: x(place), y: H - BOTTOM + 14, "text-anchor": "middle" }, svg, text);
    }
    el("line", { class: "frame", x1: LEFT, x2: W - right, y1: H - BOTTOM, y2: H - BOTTOM }, svg);
    el("text", { x: (LEFT + W - right) / 2, y: H - 6, "text-anchor": "middle" }, svg, panel.x.label);
    el("text", { x: 4, y: 11 }, svg, panel.y.label);
  }

  function drawLine(svg, panel, line, index, x, y, clip, targets, ends) {
    const group = coloured(el("g", { "data-line": index }, svg), line);
    const inner = el("g", { "clip-path": `url(#${clip})` }, group);
    const pts = line.points.map((p) => ({ x: x(p[0]), y: y(p[1]), low: p[2], high: p[3], open: p[4], tip: p[5] }));
    if (!line.dots && pts.length) {
      const d = pts.map((p, i) => (i === 0 ? `M${p.x} ${p.y}` : line.steps ? `H${p.x}V${p.y}` : `L${p.x} ${p.y}`)).join("");
      el("path", { class: "line" + (line.thin ? " thin" : ""), d, "stroke-dasharray": line.dash.join(" ") }, inner);
    }
    for (const p of pts) {
      if (p.low !== null && p.high !== null) el("line", { class: "span", x1: p.x, x2: p.x, y1: y(p.low), y2: y(p.high) }, inner);
      if (p.y < TOP - 1 || p.y > H - BOTTOM + 1) continue;
      if (!line.bare) el("path", { class: "mark" + (p.open ? " open" : ""), d: shape(line.marker, 3), transform: `translate(${p.x} ${p.y})` }, group);
      targets.push({ x: p.x, y: p.y, tip: p.tip, line: index });
    }
    for (const [place, tip] of line.lost) {
      el("path", { class: "lost", d: "M-4 -4L4 4M4 -4L-4 4", transform: `translate(${x(place)} ${TOP})` }, group);
      targets.push({ x: x(place), y: TOP, tip, line: index });
    }
    if (line.star) {
      const [sx, sy, tip] = [x(line.star[0]), Math.max(TOP, y(line.star[1])), line.star[2]];
      el("path", { class: "star", d: shape("D", 4.4), transform: `translate(${sx} ${sy})` }, group);
      targets.push({ x: sx, y: sy, tip, line: index, star: true });
    }
    if (pts.length && !line.thin) ends.push({ x: pts[pts.length - 1].x, y: pts[pts.length - 1].y, line });
  }

  function labels(svg, ends, edge) {
    spread(ends, 13, TOP + 4, H - BOTTOM - 4);
    for (const end of ends) {
      const group = coloured(el("g", {}, svg), end.line);
      el("line", { class: "leader", x1: end.x + 5, y1: Math.max(end.y, TOP), x2: edge + 2, y2: end.at }, group);
      el("text", { class: "direct", x: edge + 5, y: end.at + 4 }, group, end.line.name.length > 14 ? end.line.name.slice(0, 13) + "…" : end.line.name);
    }
  }

  function draw(host, chart) {
    const pick = html("div", "pick", host);
    const panels = html("div", "panels", host);
    let select = null;
    if (chart.views.length > 1) {
      const label = html("label", "", pick, chart.pick || "Show");
      select = html("select", "", label);
      select.id = "view-" + chart.id;
      chart.views.forEach((view, i) => { const o = html("option", "", select, view.name); o.value = String(i); });
    } else if (chart.pick === "Lines") {
      html("span", "", pick, "Lines " + chart.views[0].name);
    }
    const keys = html("ul", "keys", pick);
    keys.setAttribute("aria-label", "key");
    function show(index) {
      const view = chart.views[index];
      keys.replaceChildren();
      for (const line of view.key) { const item = html("li", "", keys); item.appendChild(sample(line)); item.appendChild(document.createTextNode(line.name)); }
      if (view.dotted) { const item = html("li", "", keys); item.appendChild(dotted()); item.appendChild(document.createTextNode(view.dotted)); }
      panels.replaceChildren();
      panels.dataset.count = String(view.panels.length);
      for (const panel of view.panels) {
        const figure = html("figure", "", panels);
        html("figcaption", "", figure, panel.title);
        figure.appendChild(panelSvg(panel, view.direct));
      }
    }
    if (select) select.addEventListener("change", () => { show(Number(select.value)); Memory.save(); });
    show(0);
  }

  return { draw, sample, shape, el };
})();

// Shows the text of what the pointer or the arrow keys are on.
const Hover = (() => {
  const tip = document.getElementById("tip"), live = document.getElementById("live");
  let current = null;

  function show(text, left, top) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(left + 14, window.innerWidth - box.width - 6)) + "px";
    tip.style.top = (top - box.height - 12 < 6 ? top + 16 : top - box.height - 12) + "px";
  }

  function hide() { tip.hidden = true; if (current) clear(current); current = null; }

  function clear(svg) {
    svg.querySelectorAll(".faded").forEach((g) => g.classList.remove("faded"));
    svg.querySelector(".ring").setAttribute("visibility", "hidden");
  }

  function choose(svg, target) {
    if (current && current !== svg) clear(current);
    current = svg;
    svg.querySelectorAll("[data-line]").forEach((g) => g.classList.toggle("faded", Number(g.dataset.line) !== target.line));
    const ring = svg.querySelector(".ring");
    ring.setAttribute("d", Charts.shape("o", 7));
    ring.setAttribute("transform", `translate(${target.x} ${target.y})`);
    ring.setAttribute("visibility", "visible");
    const point = new DOMPoint(target.x, target.y).matrixTransform(svg.getScreenCTM());
    show(target.tip, point.x, point.y);
  }

  function attach(svg, targets) {
    let at = -1;
    svg.addEventListener("pointermove", (event) => {
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = -1, least = 22 * 22;
      targets.forEach((t, i) => { const d = (t.x - p.x) ** 2 + (t.y - p.y) ** 2 - (t.star ? 4 : 0); if (d < least) { least = d; best = i; } });
      if (best >= 0) { at = best; choose(svg, targets[best]); } else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") return hide();
      if ((!step && !turn) || !targets.length) return undefined;
      event.preventDefault();
      at = at < 0 ? 0 : step ? along(targets, at, step) : across(targets, at, turn);
      choose(svg, targets[at]);
      live.textContent = targets[at].tip;
      return undefined;
    });
  }

  function along(targets, at, step) {
    const mine = targets.map((t, i) => [t, i]).filter(([t]) => t.line === targets[at].line).sort((a, b) => a[0].x - b[0].x);
    const place = mine.findIndex(([, i]) => i === at) + step;
    return mine[Math.min(Math.max(place, 0), mine.length - 1)][1];
  }

  function across(targets, at, turn) {
    const lines = [...new Set(targets.map((t) => t.line))];
    const next = lines[(lines.indexOf(targets[at].line) + turn + lines.length) % lines.length];
    let best = at, least = Infinity;
    targets.forEach((t, i) => { const d = Math.abs(t.x - targets[at].x); if (t.line === next && d < least) { least = d; best = i; } });
    return best;
  }

  return { attach, show, hide, live };
})();
