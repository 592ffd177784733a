// Fetches the page's own content once a second and replaces the parts that
// changed, leaving open what the reader opened and in peace what is being
// selected or pressed.
"use strict";
const live = document.getElementById("live");
const opened = new Map();
let pressed = 0;
let quiet = 0;

document.addEventListener("toggle", (e) => {
  if (e.target.id && performance.now() > quiet) opened.set(e.target.id, e.target.open);
}, true);
document.addEventListener("pointerdown", () => { pressed = performance.now() + 3000; });
document.addEventListener("pointerup", () => { pressed = performance.now() + 300; });

function parts(root) {
  return [...root.querySelectorAll("[data-live]")];
}

function restore(root) {
  quiet = performance.now() + 100;
  for (const d of root.querySelectorAll("details[id]")) {
    if (opened.has(d.id)) d.open = opened.get(d.id);
  }
}

const shown = new Map(parts(live).map((p) => [p.id, p.outerHTML]));

function apply(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  const now = parts(live), next = parts(fresh);
  const same = now.length === next.length && now.every((p, i) => p.id === next[i].id);
  const html2 = new Map(next.map((p) => [p.id, p.outerHTML]));
  if (!same) {
    live.replaceChildren(...fresh.childNodes);
    restore(live);
  } else {
    now.forEach((p, i) => {
      if (shown.get(p.id) === html2.get(p.id)) return;
      p.replaceWith(next[i]);
      restore(next[i]);
    });
  }
  shown.clear();
  html2.forEach((v, k) => shown.set(k, v));
}

function busy() {
  const sel = document.getSelection();
  const selecting = sel && !sel.isCollapsed && live.contains(sel.anchorNode);
  const choosing = document.activeElement && document.activeElement.tagName === "SELECT";
  return performance.now() < pressed || selecting || choosing || document.hidden;
}

async function refresh() {
  try {
    if (!busy()) {
      const res = await fetch(location.pathname + "?live", { signal: AbortSignal.timeout(5000) });
      if (res.ok) {
        const html = await res.text();
        if (!busy()) apply(html);
      }
      document.body.classList.toggle("stale", !res.ok);
    }
  } catch {
    document.body.classList.add("stale");
  }
  setTimeout(refresh, 1000);
}
setTimeout(refresh, 1000);
