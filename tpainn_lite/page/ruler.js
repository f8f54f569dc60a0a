// A ruler on learning curves: the same data make 1.1 × or 71 ×, by what one compares with and which way one measures.
//
// `data` (explain.py): tasks [{name, quantity, unit, curves {method: [{n, mean, deviation, seeds}]}, levels {name: error}}],
// names {method: words}, and what is chosen at first.  Between measured points curves are straight in the double
// logarithmic picture; beyond them nothing is said.

const KINDS = { error: "equal error", labels: "equal labels" };

function build(panel, data) {
    panel.fill(`
<div class="stage"><svg class="plot" role="group" aria-label="Learning curves with a ruler"></svg></div>
<div class="side">
  <div class="reading" role="status"><strong class="big"></strong><p class="words"></p>
    <p><i class="dot main"></i><span class="of-main"></span></p><p><i class="dot base"></i><span class="of-base"></span></p></div>
  <label class="row"><span>Measured</span><select class="task"></select></label>
  <label class="row"><span><i class="dot main"></i>Method</span><select class="method"></select></label>
  <label class="row"><span><i class="dot base"></i>Compared with</span><select class="baseline"></select></label>
  <fieldset><legend>Ruler</legend><div class="segments">${Object.entries(KINDS).map(([value, words]) =>
        `<label><input type="radio" name="kind" value="${value}">${words}</label>`).join("")}</div></fieldset>
</div>
<p class="hint">Drag the ruler, or focus it and use the arrow keys. What to see: not one measurement changes while the
  factor does. Bars: standard deviation over seeds. A dotted line needs no label.</p>`);
    const state = { ...data.start }, plot = panel.part(".plot"), layer = svg("g"), ruler = rulerNode();
    const scales = {};
    plot.append(layer, ruler);
    panel.choice(".task", data.tasks.map(({ name }, k) => [k, name]), state, "task");
    panel.radios("kind", state);
    onDrag(plot, (x, y) => place(x, y), (x, y, event) => event.pointerType === "mouse" || ruler.contains(event.target));
    plot.addEventListener("click", ({ clientX, clientY }) => { // a tap elsewhere brings the ruler
        const { left, top } = plot.getBoundingClientRect();
        place(clientX - left, clientY - top);
    });
    const nudge = (step) => (times) => move(state[state.kind] * Math.exp(step * times));
    onKeys(ruler, { ArrowUp: nudge(0.02), ArrowRight: nudge(0.02), ArrowDown: nudge(-0.02), ArrowLeft: nudge(-0.02), PageUp: nudge(0.2), PageDown: nudge(-0.2) });

    function place(x, y) {
        move(state.kind === "error" ? scales.y.inverse(y) : scales.x.inverse(x));
    }
    function move(value) {
        const [low, high] = state.kind === "error" ? scales.errors : scales.labels;
        state[state.kind] = clamp(value, low, high);
        panel.refresh();
    }

    return function draw() {
        const task = data.tasks[state.task], { curves } = task;
        for (const name of ["method", "baseline"]) {
            const fit = data[`${name}s`].filter((key) => curves[key] && key !== (name === "baseline" && state.method));
            if (!fit.includes(state[name])) state[name] = fit[0];
            panel.choice(`.${name}`, fit.map((key) => [key, data.names[key]]), state, name);
        }
        const width = plot.clientWidth || 560, height = clamp(0.72 * width, width > 420 ? 385 : 320, 420);
        plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
        plot.style.height = `${height}px`;
        Object.assign(scales, axes(task, [curves[state.method], curves[state.baseline]], width, height));
        const found = measure(curves[state.method], curves[state.baseline], state);
        const taken = [found.main, found.base].map(({ value }) => value).filter(Boolean);
        layer.replaceChildren(...frame(task, scales, taken, state.kind), ...context(task, state, scales),
            ...drawCurve(curves[state.baseline], scales, "base", data.names[state.baseline]),
            ...drawCurve(curves[state.method], scales, "main", data.names[state.method]),
            ...crossings(found, state, scales));
        placeRuler(ruler, state, scales, task);
        write(panel, found, state, task, data.names);
    };
}

// ------------------------------------------------------------------ arithmetic: straight lines between measured points

const mixed = (a, b, share) => a + (b - a) * share;
const spread = ({ mean, deviation }) => (deviation ?? 0) / mean;

/** {value, spread: of its logarithm} of the error with `n` labels; or {outside: the nearest measured n}. */
function errorWith(curve, n) {
    const k = curve.findIndex((point, k) => k && n <= point.n * 1.0001);
    if (k < 1 || n < curve[0].n * 0.9999) return { outside: n < curve[0].n ? curve[0].n : curve.at(-1).n };
    const [a, b] = [curve[k - 1], curve[k]], share = Math.log(n / a.n) / Math.log(b.n / a.n);
    return { value: Math.exp(mixed(Math.log(a.mean), Math.log(b.mean), share)), spread: mixed(spread(a), spread(b), share) };
}

/** {value, spread} of the labels that `error` needs; or {fewer: n} or {more: n}, the ends of what was measured. */
function labelsFor(curve, error) {
    if (curve[0].mean <= error) return { fewer: curve[0].n };
    const k = curve.findIndex(({ mean }) => mean <= error);
    if (k < 0) return { more: curve.at(-1).n };
    const [a, b] = [curve[k - 1], curve[k]], share = Math.log(error / a.mean) / Math.log(b.mean / a.mean);
    const steepness = Math.log(a.mean / b.mean) / Math.log(b.n / a.n);
    return { value: Math.exp(mixed(Math.log(a.n), Math.log(b.n), share)), spread: mixed(spread(a), spread(b), share) / steepness };
}

/** What the ruler meets on both curves, and the baseline's number divided by the method's. */
function measure(main, base, { kind, error, labels }) {
    const ask = (curve) => (kind === "error" ? labelsFor(curve, error) : errorWith(curve, labels));
    const found = { main: ask(main), base: ask(base) }, { main: m, base: b } = found;
    if (m.value && b.value) Object.assign(found, { factor: b.value / m.value, deviation: (b.value / m.value) * Math.hypot(m.spread, b.spread) });
    else if (kind === "error" && (m.value || m.fewer) && (b.value || b.more)) found.bound = (b.value ?? b.more) / (m.value ?? m.fewer);
    return found;
}

/** A factor with the digits that its deviation leaves. */
function factorText({ factor, deviation, bound }) {
    if (bound) return `> ${number(bound, 2)}×`;
    const value = Math.max(factor, 1 / factor), off = (deviation * value) / factor;
    if (!(off > 0)) return `${number(value, 2)}×`;
    const digits = clamp(1 - Math.floor(Math.log10(off)) - (off / 10 ** Math.floor(Math.log10(off)) >= 2 ? 1 : 0), 0, 2);
    return `${value.toFixed(digits)} ± ${off.toFixed(digits)}×`;
}

// ------------------------------------------------------------------ words

function write(panel, found, { kind, error, labels, method, baseline }, { quantity, unit }, names) {
    const { factor, bound } = found, big = panel.part(".big");
    const gain = `${factor < 1 ? "more" : kind === "error" ? "fewer" : "less"} ${kind === "error" ? "labels" : "error"}`;
    big.replaceChildren(factor || bound ? factorText(found) : "no factor");
    if (factor || bound) big.append(Object.assign(document.createElement("small"), { textContent: gain }));
    const say = {
        error: ({ value, fewer, more }) => value ? `${number(value)} labels`
            : fewer ? `fewer than ${fewer} labels, the least measured` : `not reached with ${more.toLocaleString("en")} labels`,
        labels: ({ value, outside }) => value ? `${number(value, 3)} ${unit}` : `not measured there; nearest: ${outside.toLocaleString("en")} labels`,
    }[kind];
    panel.part(".words").textContent = kind === "error" ? `For a ${quantity} error of ${number(error, 3)} ${unit}:` : `With ${number(labels)} labels:`;
    panel.part(".of-main").textContent = `${say(found.main)}: ${names[method]}`;
    panel.part(".of-base").textContent = `${say(found.base)}: ${names[baseline]}`;
}

// ------------------------------------------------------------------ the picture

function axes(task, chosen, width, height) {
    const all = Object.values(task.curves).flat(), own = chosen.flat(), most = Math.max(...own.map(({ mean }) => mean));
    const near = [...own, ...all.filter(({ mean }) => mean < most)].map(({ mean }) => mean);
    const errors = [0.8 * Math.min(...near), 1.8 * most], ns = all.map(({ n }) => n), labels = [Math.min(...ns), Math.max(...ns)];
    const [left, right, top, bottom] = [56, width - 70, 44, height - 44];
    return { errors, labels, left, right, top, bottom,
        x: logarithmic([labels[0] * 0.8, labels[1] * 1.25], [left, right]), y: logarithmic(errors, [bottom, top]) };
}

function frame({ quantity, unit }, { x, y, errors, labels, left, right, bottom }, taken, kind) {
    const free = (scale, reach, own) => (tick) => kind !== own || taken.every((value) => Math.abs(scale(value) - scale(tick)) > reach);
    const nodes = decades(...errors, 7).filter(free(y, 16, "labels")).map((tick) => svg("g", {}, svg("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en"))));
    nodes.push(...decades(labels[0] * 0.8, labels[1] * 1.25, (right - left) / 48).filter(free(x, 34, "error")).map((tick) => svg("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, tick.toLocaleString("en"))));
    nodes.push(svg("text", { x: left - 8, y: 13 }, `${quantity} error / ${unit}`), svg("text", { x: right, y: bottom + 37, "text-anchor": "end" }, "number of labels"));
    return nodes;
}

const path = (curve, { x, y }) => curve.map(({ n, mean }, k) => `${k ? "L" : "M"}${x(n).toFixed(1)} ${y(mean).toFixed(1)}`).join("");

/** What was measured besides, faintly, and what needs no labels. */
function context({ curves, levels }, { method, baseline }, scales) {
    const { x, y, errors, left, right } = scales;
    const fits = (curve) => curve.every(({ mean }) => mean >= errors[0] && mean <= errors[1]);
    const others = Object.entries(curves).filter(([key, curve]) => key !== method && key !== baseline && fits(curve));
    const lines = Object.entries(levels).filter(([, level]) => level > errors[0] && level < errors[1]);
    return [...others.map(([, curve]) => svg("path", { class: "curve", d: path(curve, scales) })),
        ...lines.flatMap(([name, level]) => [svg("line", { class: "level", x1: left, x2: right, y1: y(level), y2: y(level) }),
            svg("text", { x: right + 6, y: y(level) + 4 }, name.replace(" itself", ""))])];
}

function drawCurve(curve, scales, role, name) {
    const { x, y } = scales, { n, mean } = role === "main" ? curve.at(-1) : curve[0];
    const beside = role === "main" ? { x: x(n) + 6, y: y(mean) + 22, "text-anchor": "end" } : { x: x(n) + 8, y: y(mean) - 8 };
    return [svg("text", { class: `curve-name ${role}`, ...beside }, name),
        svg("path", { class: `curve ${role}`, d: path(curve, scales) }), ...curve.flatMap(({ n, mean, deviation }) => [
        ...(deviation ? [svg("line", { class: `bar ${role}`, x1: x(n), x2: x(n), y1: y(mean + deviation), y2: y(Math.max(mean - deviation, mean / 20)) })] : []),
        svg("circle", { class: `points ${role}`, cx: x(n), cy: y(mean), r: 4.5 })])];
}

/** Where the ruler meets a curve, a line to the axis with the number; between both, how many times. */
function crossings(found, { kind, error, labels }, { x, y, left, bottom }) {
    const nodes = [], ends = [];
    for (const role of ["base", "main"]) {
        const { value } = found[role];
        if (!value) continue;
        const [px, py] = kind === "error" ? [x(value), y(error)] : [x(labels), y(value)], text = number(value, kind === "error" ? 2 : 3);
        const wide = 12 + 7.2 * text.length, [fx, fy] = kind === "error" ? [px - wide / 2, bottom + 4] : [left - wide - 2, py - 10];
        const drop = kind === "error" ? { x1: px, x2: px, y1: py, y2: bottom } : { x1: px, x2: left, y1: py, y2: py };
        nodes.push(svg("g", { class: role }, svg("line", { class: "drop", ...drop }), svg("circle", { class: "points", cx: px, cy: py, r: 6.5 }),
            svg("rect", { class: "flag", x: fx, y: fy, width: wide, height: 20, rx: 5 }), svg("text", { x: fx + wide / 2, y: fy + 14.5, "text-anchor": "middle" }, text)));
        ends.push([px, py]);
    }
    if (found.factor) {
        const [[x1, y1], [x2, y2]] = ends, words = factorText(found).replace(/ ± .*/, "×");
        const beside = kind === "error" ? { x: (x1 + x2) / 2, y: y1 - 12, "text-anchor": "middle" } : { x: x1 + 12, y: (y1 + y2) / 2 + 7 };
        nodes.push(svg("line", { class: "span", x1, y1, x2, y2 }), svg("text", { class: "factor", ...beside }, words));
    }
    return nodes;
}

function rulerNode() {
    return svg("g", { class: "ruler", role: "slider", tabindex: 0 }, svg("rect", { class: "reach" }), svg("line", { class: "line" }),
        svg("rect", { class: "grip", rx: 6, height: 24 }), svg("text", { class: "onflag", "text-anchor": "middle" }));
}

function placeRuler(node, { kind, error, labels }, { x, y, errors, labels: range, left, right, top, bottom }, { unit }) {
    const flat = kind === "error", px = x(labels), py = y(error), [reach, line, grip, text] = node.children;
    const set = (part, values) => Object.entries(values).forEach(([key, value]) => part.setAttribute(key, value));
    text.textContent = flat ? `↕ ${number(error, 3)}` : `↔ ${number(labels)} labels`;
    const wide = 14 + 7.3 * text.textContent.length, cx = flat ? Math.max(left - wide / 2, wide / 2) : clamp(px, left, right - 20), cy = flat ? py : top - 12;
    set(reach, flat ? { x: 0, y: py - 20, width: right, height: 40 } : { x: px - 20, y: top, width: 40, height: bottom - top });
    set(line, flat ? { x1: left, x2: right, y1: py, y2: py } : { x1: px, x2: px, y1: top, y2: bottom });
    set(grip, { x: cx - wide / 2, y: cy - 12, width: wide });
    set(text, { x: cx, y: cy + 4.5 });
    node.style.touchAction = flat ? "none" : "pan-y";
    const [low, high] = flat ? errors : range, plain = (value) => Number(value.toPrecision(4));
    set(node, { "aria-label": flat ? "Ruler of equal error" : "Ruler of equal labels", "aria-orientation": flat ? "vertical" : "horizontal",
        "aria-valuemin": plain(low), "aria-valuemax": plain(high), "aria-valuenow": plain(flat ? error : labels),
        "aria-valuetext": flat ? `${number(error, 3)} ${unit}` : `${number(labels)} labels` });
}
