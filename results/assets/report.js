// The player of report.html: swimlanes, the picked call, and the share after
// it. Names come from programs under test, so they are only ever set as text.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const steps = data.steps, lanes = data.lanes;
  const at = (id) => document.getElementById(id);

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
  if (steps.length === 0) return;
  at("player").hidden = false;

  const el = (name, className, text) => {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };

  // Later steps that conflict with a step.
  const later = new Map();
  steps.forEach((s, i) => {
    if (s.x < 0) return;
    if (later.has(s.x)) later.get(s.x).push(i);
    else later.set(s.x, [i]);
  });

  function copy(button) {
    const code = at(button.dataset.copy);
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(code);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = "Selected: press Ctrl+C";
    };
    if (!navigator.clipboard) return select();
    navigator.clipboard.writeText(code.textContent).then(() => { button.textContent = "Copied"; }, select);
  }

  // Words for what a step is: colour is never the only sign.
  function sign(s) {
    if (s.v === "crash" || s.v === "powerloss") return "☠ ";
    if (s.f) return "! ";
    if (s.v === "start") return "▶ ";
    if (s.v === "wake") return "◷ ";
    if (s.v === "deliver") return failed(s) ? "✗ " : "✉ ";
    return failed(s) ? "✗ " : "";
  }
  const failed = (s) => s.o !== undefined && s.o !== "ok" && !/^2\d\d$/.test(s.o);
  function look(s) {
    if (s.f) return "cell-fault";
    if (failed(s)) return "cell-failed";
    return s.v === "deliver" ? "cell-sent" : "";
  }
  const outcome = (s) => (s.o && (failed(s) || s.v === "deliver") ? " = " + s.o : "");
  const seconds = (s, digits) => (s.t / 1e9).toFixed(digits);
  // How far time moves: on a wake-up that is all that it does.
  function moved(i) {
    const by = (steps[i].t - (i > 0 ? steps[i - 1].t : 0)) / 1e9;
    return by > 0 ? " +" + by.toFixed(by < 0.01 ? 6 : 2) + " s" : "";
  }
  const count = (n, one, more) => n + " " + (n === 1 ? one : more);
  const number = (i) => i + 1; // as people count, and as replay does
  const describe = (i) => {
    const s = steps[i];
    return "Step " + number(i) + ", " + lanes[s.p] + ": " + s.s + outcome(s) + moved(i) + (s.f ? ", a fault" : "") +
      (data.anomalies[i] ? ", here came about " + data.anomalies[i] : "") +
      (s.x >= 0 ? ", conflicts with step " + number(s.x) : "") +
      (later.has(i) ? ", later " + count(later.get(i).length, "step conflicts", "steps conflict") + " with it" : "");
  };

  // The lanes. Only the rows in sight are in the document.
  const grid = at("lanes"), heads = at("heads"), rows = at("rows");
  const height = 27, drawn = new Map(); // height as in style.css
  grid.style.setProperty("--columns", "repeat(" + lanes.length + ", minmax(var(--lane), 1fr))");
  grid.setAttribute("aria-rowcount", steps.length + 2);
  grid.setAttribute("aria-colcount", lanes.length + 3);
  rows.style.height = steps.length * height + "px";
  const cells = [];
  const node = (lane) => lanes[lane].split("/")[0];
  const first = (lane) => lane === 0 || node(lane) !== node(lane - 1); // of its node
  function head(index, titles) { // titles with how many columns each spans
    const row = el("div", "row head");
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", index);
    let column = 1;
    const made = titles.map(([title, span, className]) => {
      const cell = el("div", className, title);
      cell.setAttribute("role", "columnheader");
      cell.setAttribute("aria-colindex", column);
      if (span > 1) {
        cell.setAttribute("aria-colspan", span);
        cell.style.gridColumn = "span " + span;
      }
      cell.title = title;
      column += span;
      return cell;
    });
    row.append(...made);
    heads.append(row);
    return made;
  }
  {
    const nodes = [];
    lanes.forEach((_, lane) => {
      if (first(lane)) nodes.push(["node " + node(lane), 1, "first"]);
      else nodes[nodes.length - 1][1]++;
    });
    head(1, [["when", 2, ""], ...nodes, ["output", 1, "first"]]);
    cells.push(...head(2, [["step", 1, "num"], ["seconds", 1, "when"],
      ...lanes.map((l, lane) => [l.includes("/") ? l : "all of it", 1, first(lane) ? "first" : ""]), ["programs said", 1, "first"]]));
  }

  // Is it the picked call, or one that is joined to it?
  const joined = (i) => picked >= 0 && (steps[picked].x === i || steps[i].x === picked);
  const mark = (row, i) => {
    row.classList.toggle("picked", i === picked);
    row.classList.toggle("other", joined(i));
    row.setAttribute("aria-selected", i === picked);
  };

  // When a lane's program was not up, or stood still: from a step on, up to one.
  const idle = lanes.map(() => []);
  steps.forEach((s, i) => {
    for (const [group, subject, text] of s.k || []) {
      const list = data.groups[group] === "Programs" ? idle[lanes.indexOf(subject)] : undefined;
      if (!list) continue;
      const last = list[list.length - 1];
      if (last && last.to === undefined) last.to = i;
      if (text) list.push({ from: i, what: text.startsWith("down") ? "down" : text.startsWith("has ended") ? "ended" : "stands still" });
    }
  });
  const idleAt = (lane, i) => idle[lane].find((d) => i > d.from && (d.to === undefined || i < d.to));
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const wires = svg("svg");
  wires.id = "wires";
  wires.setAttribute("aria-hidden", "true");
  rows.append(wires);

  let picked = -1;

  function makeRow(i) {
    const s = steps[i];
    const row = el("div", "row");
    row.id = "row" + i;
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", i + 2);
    row.setAttribute("aria-label", describe(i));
    row.style.top = i * height + "px";
    mark(row, i);
    const num = el("div", "num", String(number(i)));
    if (data.anomalies[i]) num.prepend(el("span", "flag", "⚑ "));
    row.append(num, el("div", "when", i === 0 || moved(i) ? seconds(s, 3) : "")); // where it has changed
    lanes.forEach((_, lane) => {
      const cell = el("div", first(lane) ? "first" : ""), off = idleAt(lane, i);
      if (lane === s.p) {
        if (look(s)) cell.classList.add(look(s));
        cell.title = [s.v, ...(s.n || [])].join("\n");
        cell.append(el("span", "sign", sign(s)), el("span", "verb", s.v), s.s.slice(s.v.length) + outcome(s) + moved(i));
      } else if (off) {
        cell.classList.add("idle");
        cell.textContent = off.what;
      }
      row.append(cell);
    });
    const said = (s.l || []).map(([process, text]) => (process === lanes[s.p] ? "" : process + ": ") + text);
    row.append(el("div", "first", said.length ? said[0] + (said.length > 1 ? " (+" + (said.length - 1) + ")" : "") : ""));
    [...row.children].forEach((cell, column) => {
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", column + 1);
    });
    row.addEventListener("click", () => pick(i));
    return row;
  }

  // Sizes are asked for once, since to ask for them makes the browser lay out
  // anew what has changed.
  let headHeight, width, lefts;
  function measure() {
    headHeight = heads.offsetHeight;
    width = heads.offsetWidth;
    rows.style.width = width + "px"; // the rows themselves stand beside the flow, and widen nothing
    lefts = lanes.map((_, lane) => cells[lane + 2].offsetLeft + 1);
  }

  function draw() {
    const top = Math.max(0, grid.scrollTop - headHeight), room = grid.clientHeight;
    const from = Math.max(0, Math.floor(top / height) - 10);
    const to = Math.min(steps.length - 1, Math.ceil((top + room) / height) + 10);
    for (const [i, row] of drawn) {
      if (i < from || i > to) { row.remove(); drawn.delete(i); }
    }
    for (let i = to; i >= from; i--) { // each before the next, for those who hear them read
      if (drawn.has(i)) continue;
      drawn.set(i, makeRow(i));
      rows.insertBefore(drawn.get(i), drawn.get(i + 1) || null);
    }
    drawWires(top, room);
  }

  // Lines from the picked call to those it conflicts with. The drawing covers
  // what is in sight and no more, however long the schedule is.
  function drawWires(top, room) {
    wires.replaceChildren();
    wires.style.top = top + "px";
    wires.setAttribute("width", width);
    wires.setAttribute("height", Math.min(room, steps.length * height - top));
    if (picked < 0) return;
    const x = (i) => lefts[steps[i].p];
    const y = (i) => i * height + height / 2 - top;
    // Along the edges of lanes and rows, so that it strikes no text out.
    const join = (from, to, className) => {
      const line = svg("path"), edge = y(to) + (to < from ? 1 : -1) * height / 2;
      line.setAttribute("d", "M" + x(from) + " " + y(from) + "V" + edge + "H" + x(to) + "V" + y(to));
      line.setAttribute("class", className);
      wires.append(line);
      for (const i of [from, to]) {
        const dot = svg("circle");
        dot.setAttribute("cx", x(i)); dot.setAttribute("cy", y(i)); dot.setAttribute("r", 4);
        wires.append(dot);
      }
    };
    if (steps[picked].x >= 0) join(picked, steps[picked].x, "earlier");
    for (const i of (later.get(picked) || []).slice(0, 20)) join(picked, i, "later");
  }

  // What is so after each step, as a map: snapshots now and then, and what the
  // steps between do to it.
  function after(initial, apply) {
    const every = 200, snapshots = [initial];
    return (step) => { // -1 is before the first
      const wanted = Math.floor((step + 1) / every);
      for (let n = snapshots.length; n <= wanted; n++) {
        const map = new Map(snapshots[n - 1]);
        for (let i = (n - 1) * every; i < n * every; i++) apply(map, steps[i]);
        snapshots.push(map);
      }
      const map = new Map(snapshots[wanted]);
      for (let i = wanted * every; i <= step; i++) apply(map, steps[i]);
      return map;
    };
  }
  const treeAfter = after(new Map(data.initial.filter((c) => !c.g).map((c) => [c.p, c])), (tree, step) => {
    for (const c of step.c || []) {
      const was = tree.get(c.p);
      if (!c.g) { tree.set(c.p, c); continue; }
      tree.delete(c.p);
      if (was && was.d) {
        for (const path of [...tree.keys()]) if (path.startsWith(c.p + "/")) tree.delete(path);
      }
    }
  });
  const factsAfter = (() => {
    const apply = (facts, list) => {
      for (const [group, subject, text] of list || []) {
        const key = JSON.stringify([group, subject]);
        if (text) facts.set(key, [group, subject, text]);
        else facts.delete(key);
      }
      return facts;
    };
    return after(apply(new Map(), data.facts), (facts, step) => apply(facts, step.k));
  })();

  function drawFacts() {
    const facts = [...factsAfter(picked).values()], out = [];
    const fresh = new Set((steps[picked].k || []).map(([group, subject]) => JSON.stringify([group, subject])));
    data.groups.forEach((title, group) => {
      const mine = facts.filter((f) => f[0] === group).sort((x, y) => (x[1] < y[1] ? -1 : 1));
      if (mine.length === 0) return;
      out.push(el("h3", "", title));
      const list = el("ul"), most = 200;
      for (const [, subject, text] of mine.slice(0, most)) {
        const changed = fresh.has(JSON.stringify([group, subject]));
        const li = el("li", changed ? "changed" : "");
        if (changed) li.append(el("span", "what", "changed "));
        li.append(el("strong", "", subject), ": " + text);
        list.append(li);
      }
      if (mine.length > most) list.append(el("li", "more", mine.length - most + " more"));
      out.push(list);
    });
    at("facts").replaceChildren(...out);
  }

  // Where a path belongs: NODE:PATH lies in what is private to that node, and all
  // else on the share.
  const nodes = new Set(lanes.map((_, lane) => node(lane)));
  function placed(path) {
    const at = path.indexOf(":"), own = at > 0 && nodes.has(path.slice(0, at));
    return { path, root: own ? path.slice(0, at) : "", parts: (own ? path.slice(at + 1) : path).split("/") };
  }

  function drawTree() {
    const before = treeAfter(picked - 1), after = treeAfter(picked);
    const touched = new Map((steps[picked].c || []).map((c) => [c.p, c]));
    const paths = new Set(after.keys());
    for (const path of touched.keys()) if (before.has(path)) paths.add(path);
    const sorted = [...paths].map(placed).sort((a, b) => { // a directory before what is in it
      if (a.root !== b.root) return a.root < b.root ? -1 : 1;
      const x = a.parts, y = b.parts;
      for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
      return x.length - y.length;
    });
    const most = 1000, list = [];
    let root;
    for (const { path, root: mine, parts } of sorted.slice(0, most)) {
      if (mine !== root) {
        root = mine;
        list.push(el("li", "root", root === "" ? "the share" : "/local of node " + root + ", which it alone sees"));
      }
      const c = after.get(path) || before.get(path);
      const what = !after.has(path) ? "gone" : !touched.has(path) ? "" : before.has(path) ? "changed" : "new";
      const li = el("li", what);
      li.style.setProperty("--depth", parts.length - 1);
      if (what) li.append(el("span", "what", what + " "));
      li.append(el("span", "", parts[parts.length - 1] + (c.d ? "/" : "")));
      if (!c.d) li.append(el("span", "more", " " + (c.s || 0) + " bytes" + (c.l > 1 ? ", " + c.l + " links" : "")));
      if (c.n) li.append(el("span", "", " — " + c.n));
      list.push(li);
    }
    if (sorted.length > most) list.push(el("li", "more", sorted.length - most + " more"));
    if (list.length === 0) list.push(el("li", "more", "nothing"));
    at("tree").replaceChildren(...list);
  }

  function drawCall() {
    const s = steps[picked], out = [];
    out.push(el("p", "at", "at " + seconds(s, 6) + " s"));
    const head = el("p", look(s), sign(s) + lanes[s.p] + " " + s.v + moved(picked) + (s.f ? " (a fault)" : ""));
    const link = el("a", "", "#" + number(picked));
    link.setAttribute("href", "#step-" + number(picked));
    link.setAttribute("aria-label", "#" + number(picked) + ": link to this step");
    head.append(" ", link);
    out.unshift(head);
    for (const name of s.n || []) out.push(el("p", "name", name));
    if (s.o) out.push(el("p", look(s), "= " + s.o));
    if (data.anomalies[picked]) out.push(el("p", "flag", "⚑ here came about: " + data.anomalies[picked]));
    const jump = (i) => {
      const b = el("button", "", "step " + number(i));
      b.type = "button";
      b.title = describe(i);
      b.addEventListener("click", () => pick(i));
      return b;
    };
    if (s.x >= 0) {
      const p = el("p", "", "conflicts with ");
      p.append(jump(s.x), " " + lanes[steps[s.x].p] + " " + steps[s.x].s + outcome(steps[s.x]));
      out.push(p);
    }
    const conflicted = later.get(picked) || [], most = 8;
    if (conflicted.length > 0) {
      const p = el("p", "", "later ones conflict with it: ");
      for (const i of conflicted.slice(0, most)) p.append(jump(i), " ");
      if (conflicted.length > most) p.append("and " + (conflicted.length - most) + " more");
      out.push(p);
    }
    for (const [process, text] of s.l || []) out.push(el("p", "said", process + ": " + text));
    at("call").replaceChildren(...out);
  }

  const slider = at("slider");
  slider.max = steps.length - 1;

  function pick(i) {
    i = Math.max(0, Math.min(steps.length - 1, i));
    picked = i;
    for (const [n, row] of drawn) mark(row, n);
    const top = i * height, room = grid.clientHeight - headHeight;
    const cell = cells[steps[i].p + 2], end = cell.offsetLeft + cell.offsetWidth;
    if (end > grid.scrollLeft + grid.clientWidth) grid.scrollLeft = end - grid.clientWidth;
    const begin = cell.offsetLeft - cells[0].offsetWidth; // the step's number stays in sight
    if (begin < grid.scrollLeft) grid.scrollLeft = begin;
    if (top < grid.scrollTop) grid.scrollTop = top;
    if (top + height > grid.scrollTop + room) grid.scrollTop = top + height - room;
    draw();
    drawCall();
    drawFacts();
    drawTree();
    slider.value = i;
    slider.setAttribute("aria-valuetext", describe(i));
    at("where").textContent = "step " + number(i) + " of " + steps.length;
    at("status").textContent = describe(i);
    grid.setAttribute("aria-activedescendant", "row" + i);
  }

  function seek(from, by, wanted) {
    for (let i = from + by; i >= 0 && i < steps.length; i += by) if (wanted(i)) return i;
    return from;
  }
  const around = (wanted) => {
    let next = seek(picked, 1, wanted);
    if (next === picked) next = seek(-1, 1, wanted);
    if (next >= 0) pick(next);
  };

  grid.addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", () => { measure(); draw(); });
  slider.addEventListener("input", () => pick(Number(slider.value)));
  at("previous").addEventListener("click", () => pick(picked - 1));
  at("next").addEventListener("click", () => pick(picked + 1));
  at("fault").addEventListener("click", () => around((i) => steps[i].f));
  at("odd").addEventListener("click", () => around((i) => data.anomalies[i]));
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => { pick(Number(button.dataset.step)); grid.focus(); });
  }
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(grid.clientHeight / height) - 2);
    const mine = (i) => steps[i].p === steps[picked].p;
    const to = {
      ArrowUp: () => picked - 1, ArrowDown: () => picked + 1,
      ArrowLeft: () => seek(picked, -1, mine), ArrowRight: () => seek(picked, 1, mine),
      PageUp: () => picked - page, PageDown: () => picked + page,
      Home: () => 0, End: () => steps.length - 1,
      c: () => (steps[picked].x >= 0 ? steps[picked].x : picked),
      v: () => (later.get(picked) || [picked])[0],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    pick(to());
  });

  // The page opens at the step of its address (#step-7), else at the first
  // anomaly.
  function asked() {
    const m = /^#step-(\d+)$/.exec(location.hash);
    return m ? Number(m[1]) - 1 : undefined;
  }
  addEventListener("hashchange", () => { if (asked() !== undefined) pick(asked()); });
  measure();
  const odd = Object.keys(data.anomalies).map(Number).sort((a, b) => a - b)[0];
  if (asked() !== undefined) at("player").scrollIntoView();
  pick(asked() ?? odd ?? 0);
})();
