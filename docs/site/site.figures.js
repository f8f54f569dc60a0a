// Live figures: drawn when they come near the window, in the ink of the page, their panels in one column where it is
// narrow; controls beneath a figure choose among its states.  Until then, and on paper, a picture stands in its place.
"use strict";
(() => {
const NEUTRAL = '"#767676"'; // of tpainn_lite.show.style: where it stands, a page has its own ink
const [PANEL, GAP] = [210, 76]; // pixels of one of several panels in a column, and between two
const ROW = 32; // pixels above a plot, which has room for one row of a legend
const narrow = matchMedia("(max-width: 600px)");
const isObject = (value) => value !== null && typeof value === "object";

// Put a change into an object; null takes a key away.
function merge(target, change) {
    for (const [key, value] of Object.entries(change)) {
        if (value === null) delete target[key];
        else if (isObject(value) && !Array.isArray(value) && isObject(target[key])) merge(target[key], value);
        else target[key] = value;
    }
    return target;
}

// Panels beside each other become a column, in the order in which they are read; the height that it needs.
function stack(layout) {
    const panels = Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key)).map((key) => (
        { x: layout[key], y: layout[(layout[key].anchor ?? "").replace("y", "yaxis")] }
    )).filter(({ x, y }) => x.domain && y?.domain);
    if (!panels.some(({ x }) => x.domain[1] - x.domain[0] < 0.9)) return layout.height;
    panels.sort((a, b) => b.y.domain[1] - a.y.domain[1] || a.x.domain[0] - b.x.domain[0]);
    const total = panels.length * (PANEL + GAP) - GAP;
    panels.forEach(({ x, y }, k) => {
        if (k > 0 && !y.title?.text) y.title = panels[k - 1].y.title;
        const top = total - k * (PANEL + GAP);
        [x.domain, y.domain] = [[0, 1], [(top - PANEL) / total, top / total]];
    });
    return total + ROW + (layout.margin?.b ?? 50);
}

// A scene in space from farther away, for its sides are near.
function stepBack(layout) {
    const eye = layout.scene?.camera?.eye ?? {};
    for (const axis of Object.keys(eye)) eye[axis] *= 1.4;
}

class Figure {
    constructor(place) {
        this.place = place;
        [this.live, this.caption, this.json] = [".live", "figcaption", "script"].map((part) => place.querySelector(part));
    }

    async begin() {
        if (this.spec || typeof Plotly === "undefined") return;
        this.ink();
        this.state = this.controls();
        await this.show();
    }

    // Read the figure, in the colour of the words around it.
    ink() {
        const ink = JSON.stringify(getComputedStyle(this.place).color);
        const { states, ...spec } = JSON.parse(this.json.textContent.replaceAll(NEUTRAL, ink));
        [this.spec, this.states] = [spec, states];
    }

    // A control for each name; gives a function for the number of the state that they choose.
    controls() {
        const inputs = (this.states?.controls ?? []).map((control) => this.control(control));
        if (!inputs.length) return () => 0;
        const form = Object.assign(document.createElement("form"), { className: "controls" });
        form.append(...inputs.map((input) => input.closest("label")));
        form.addEventListener("submit", (event) => event.preventDefault());
        form.addEventListener("input", () => this.show());
        this.place.append(form);
        return () => inputs.reduce((sum, input, k) => (
            sum * this.states.controls[k].labels.length + Number(input.value)
        ), 0);
    }

    // Numbers have a slider, words a list.
    control({ name, labels, start }) {
        const label = document.createElement("label");
        const isNumber = labels.every((text) => text !== "" && !Number.isNaN(Number(text)));
        const input = document.createElement(isNumber ? "input" : "select");
        label.append(`${name} `, input);
        if (!isNumber) {
            input.append(...labels.map((text, k) => new Option(text, k)));
            input.value = start;
            return input;
        }
        Object.assign(input, { type: "range", min: 0, max: labels.length - 1, step: 1, value: start });
        const shown = document.createElement("output");
        const tell = () => {
            shown.textContent = labels[input.value];
            input.setAttribute("aria-valuetext", labels[input.value]);
        };
        shown.style.minWidth = `${Math.max(...labels.map((text) => text.length))}ch`;
        input.addEventListener("input", tell);
        label.append(shown);
        tell();
        return input;
    }

    // Draw the chosen state; what is asked for meanwhile is drawn next.
    async show() {
        this.again = true;
        if (this.busy) return;
        this.busy = true;
        try {
            while (this.again) {
                this.again = false;
                await this.draw();
            }
        } catch (error) {
            this.live.hidden = true;
            this.place.classList.remove("drawn");
            throw error;
        } finally {
            this.busy = false;
        }
    }

    async draw() {
        const { data, layout = {} } = merge(structuredClone(this.spec), this.states?.changes[this.state()] ?? {});
        const title = typeof layout.title === "string" ? layout.title : layout.title?.text;
        this.caption.textContent = new DOMParser().parseFromString(title ?? "", "text/html").body.textContent;
        this.caption.hidden = !title;
        delete layout.title;
        layout.margin = { ...layout.margin, t: layout.showlegend === false ? 12 : ROW };
        layout.uirevision = "kept"; // what a reader turned or enlarged stays so
        if (narrow.matches) {
            layout.height = stack(layout);
            stepBack(layout);
            merge(layout.margin, { l: 58, r: 8 });
        }
        this.live.hidden = false;
        this.place.classList.add("drawn");
        layout.height ||= this.live.clientHeight;
        await Plotly.react(this.live, data, layout, { responsive: true, displaylogo: false });
        const legend = this.live.querySelector(".legend .bg")?.getBoundingClientRect().height ?? 0;
        const height = layout.height + Math.max(0, Math.round(legend) - ROW);
        if (height !== this.live.layout.height) await Plotly.relayout(this.live, { height });
        this.live.style.height = `${height}px`;
    }
}

function start() {
    const figures = new Map([...document.querySelectorAll("figure.plot")].map((place) => [place, new Figure(place)]));
    const near = new IntersectionObserver(
        (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
            near.unobserve(entry.target);
            figures.get(entry.target).begin();
        }),
        { rootMargin: "600px" },
    );
    figures.forEach((_, place) => near.observe(place));
    const again = () => figures.forEach((figure) => {
        if (!figure.spec) return;
        figure.ink();
        figure.show();
    });
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    for (const query of [narrow, matchMedia("(prefers-color-scheme: dark)")]) query.addEventListener("change", again);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
})();
