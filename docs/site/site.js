// The site's script: search, light and dark; live figures have their own. Without it every page still shows all there is to read.
"use strict";

const root = document.documentElement;

// ---------------------------------------------------------------- light and dark

const button = document.getElementById("theme");
const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const name = () => { button.textContent = dark() ? "Light" : "Dark"; };

button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (error) { /* private windows forget it */ }
    name();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
name();

// ---------------------------------------------------------------- what scrolls sideways can be reached by keyboard

function reachable() {
    for (const part of document.querySelectorAll("pre, .wide, .output")) {
        if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
        else part.removeAttribute("tabindex");
    }
}
addEventListener("resize", reachable);
reachable();

const contents = document.querySelector(".contents details");
if (contents && innerWidth < 1100) contents.open = false;

// ---------------------------------------------------------------- search

const query = document.getElementById("query");
const found = document.getElementById("found");
const MOST = 12;

function load() {
    if (window.SEARCH || document.getElementById("index")) return;
    const script = Object.assign(document.createElement("script"), { src: "search.js", id: "index" });
    script.onload = search;
    document.head.append(script);
}

function search() {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.hidden = words.length === 0 || !window.SEARCH;
    if (found.hidden) return;
    const hits = [];
    for (const [page, title, anchor, heading, text] of window.SEARCH) {
        const [high, low] = [heading.toLowerCase(), text.toLowerCase()];
        if (!words.every((word) => high.includes(word) || low.includes(word))) continue;
        const score = words.reduce((sum, word) => sum + (high.includes(word) ? 5 : 1), 0);
        hits.push({ page, title, anchor, heading, score, text: around(text, low, words) });
    }
    hits.sort((a, b) => b.score - a.score);
    show(hits);
}

function around(text, low, words) {
    const at = Math.max(0, Math.min(...words.map((word) => low.indexOf(word)).filter((k) => k >= 0), text.length) - 40);
    return (at > 0 ? "… " : "") + text.slice(at, at + 120) + (at + 120 < text.length ? " …" : "");
}

function show(hits) {
    const list = document.createElement("ul");
    for (const hit of hits.slice(0, MOST)) {
        const link = document.createElement("a");
        link.href = hit.page + (hit.anchor ? "#" + hit.anchor : "");
        const [strong, small] = [document.createElement("strong"), document.createElement("span")];
        strong.textContent = hit.heading === hit.title ? hit.title : `${hit.title} › ${hit.heading}`;
        small.textContent = hit.text;
        link.append(strong, small);
        const item = document.createElement("li");
        item.append(link);
        list.append(item);
    }
    const note = document.createElement("p");
    note.textContent = hits.length ? `${hits.length} section${hits.length > 1 ? "s" : ""}` : "Nothing found.";
    found.replaceChildren(note, list);
}

query.addEventListener("focus", load);
query.addEventListener("input", () => { load(); search(); });
query.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = found.querySelector("a");
    if (first) location.href = first.href;
});
addEventListener("keydown", (event) => {
    if (event.key === "Escape") found.hidden = true;
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
        event.preventDefault();
        query.focus();
    }
});
document.addEventListener("click", (event) => {
    if (!event.target.closest(".search")) found.hidden = true;
    else if (found.contains(event.target.closest("a"))) found.hidden = true;
});
