// Two errors of a liquid, one knob each: stiffer bonds, and smaller charges.  What do forces say of it, and what the liquid?
//
// `data` (explain.py): the two knobs' values {bonds, between} as shares, models[bonds][between] with force_mae,
// deform_mae, between_mae / meV/Å, diffusion and diffusion_error / 10⁻⁹ m²/s and g, r / Å, and how it was run.

const SHADES = ["#fdf6ec", "#fdcc8a", "#f28e4b", "#c7402d", "#6d0d1f"];
const error = (value) => number(value < 0.1 ? 0 : value); // meV/Å; what is left of a difference of equal numbers is none
const percent = (share) => `${number(100 * share)} %`;

/** How far a liquid's g(r) is from the truth's: the mean of |g − g_true|. */
const structureError = (model, truth) => model.g.reduce((sum, g, k) => sum + Math.abs(g - truth.g[k]), 0) / model.g.length;

function shade(share) {
    const where = clamp(share, 0, 1) * (SHADES.length - 1), low = Math.min(Math.floor(where), SHADES.length - 2);
    const parts = [low, low + 1].map((k) => [1, 3, 5].map((at) => parseInt(SHADES[k].slice(at, at + 2), 16)));
    return { fill: `rgb(${parts[0].map((a, c) => Math.round(a + (parts[1][c] - a) * (where - low))).join(" ")})`, ink: share > 0.62 ? "#ffffff" : "#14171a" };
}

function build(panel, data) {
    const range = (name, words) => `<label class="range"><span>${words}</span><output class="of-${name}"></output><input type="range" class="${name}"></label>`;
    panel.fill(`
<div class="stage"><svg class="structure" role="img"></svg><svg class="pads" role="img"></svg></div>
<div class="side">
  <div class="reading" role="status"><strong class="big"></strong><p class="words"></p></div>
  ${range("bonds", "Springs in molecules, too stiff by")}${range("between", "Charges, too small by")}
  <table><thead><tr><th>liquid</th><th class="base">truth</th><th class="main">yours</th></tr></thead><tbody></tbody></table>
</div>
<p class="hint">Move one knob at a time, or click a cell. What to see: the left map changes most from below to above, the right one from left to right.
  The error of forces is made in the bonds, the liquid between the molecules. ${data.n_molecules} H2O, ${data.model}, ${number(data.picoseconds)} ps for each of ${data.bonds.length * data.between.length} models.</p>`);
    const state = { bonds: 0, between: 0, ...data.start }, truth = data.models[0][0], pads = panel.part(".pads"), screen = {};
    for (const name of ["bonds", "between"]) panel.slider(`.${name}`, { min: 0, max: data[name].length - 1, step: 1 }, state, name);
    pads.addEventListener("click", ({ clientX, clientY }) => {
        const { left, top } = pads.getBoundingClientRect(), x = clientX - left, y = clientY - top;
        const pad = screen.pads.find((from) => x >= from && x < from + screen.cell * data.between.length);
        const k = pad === undefined ? -1 : Math.floor((x - pad) / screen.cell), row = data.bonds.length - 1 - Math.floor((y - screen.top) / screen.cell);
        if (k >= 0 && row >= 0 && row < data.bonds.length) Object.assign(state, { between: k, bonds: row });
        panel.refresh();
    });
    return function draw() {
        const model = data.models[state.bonds][state.between];
        drawStructure(panel.part(".structure"), model, truth);
        drawPads(pads, screen, data, state, truth);
        for (const name of ["bonds", "between"]) {
            const text = percent(data[name][state[name]]);
            panel.part(`.of-${name}`).textContent = text;
            panel.part(`input.${name}`).value = state[name];
            panel.part(`input.${name}`).setAttribute("aria-valuetext", text);
        }
        panel.part(".big").replaceChildren(`${error(model.force_mae)} meV/Å`, Object.assign(document.createElement("small"), { textContent: "mean error of the forces" }));
        panel.part(".words").textContent = model === truth ? "Both knobs at zero: this is the truth." : `Inside molecules ${error(model.deform_mae)}, between them ${error(model.between_mae)} meV/Å.`;
        const peak = ({ g }) => Math.max(...g).toFixed(2), moves = (m) => `${m.diffusion.toFixed(1)} ± ${m.diffusion_error.toFixed(1)}`;
        panel.part("tbody").innerHTML = [["first peak of g", peak], ["D / 10⁻⁹ m²/s", moves]].map(([words, ask]) => `<tr><th>${words}</th><td>${ask(truth)}</td><td>${ask(model)}</td></tr>`).join("");
    };
}

/** g(r) of the truth and of the model. */
function drawStructure(node, model, truth) {
    const width = node.clientWidth || 540, height = 216, most = 1.12 * Math.max(...truth.g, ...model.g);
    const x = linear([2, truth.r.at(-1)], [40, width - 12]), y = linear([0, most], [height - 36, 24]);
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.style.height = `${height}px`;
    node.setAttribute("aria-label", `g(r) of oxygens: first peak ${Math.max(...model.g).toFixed(2)}, in the truth ${Math.max(...truth.g).toFixed(2)}`);
    const line = ({ r, g }) => r.map((value, k) => [value, g[k]]).filter(([value]) => value >= 2).map(([value, g], k) => `${k ? "L" : "M"}${x(value).toFixed(1)} ${y(g).toFixed(1)}`).join("");
    const whole = (most) => Array.from({ length: Math.floor(most) + 1 }, (_, k) => k);
    node.replaceChildren(...whole(most).flatMap((tick) => [svg("line", { class: "grid", x1: 40, x2: width - 12, y1: y(tick), y2: y(tick) }), svg("text", { x: 32, y: y(tick) + 4, "text-anchor": "end" }, tick)]),
        ...whole(truth.r.at(-1)).filter((tick) => tick >= 2).map((tick) => svg("text", { x: x(tick), y: height - 18, "text-anchor": "middle" }, tick)),
        svg("text", { class: "strong", x: 40, y: 13 }, "Structure of the liquid: g(r) of O and O"), svg("text", { x: width - 12, y: height - 3, "text-anchor": "end" }, "r / Å"),
        svg("path", { class: "curve base under", d: line(truth) }), svg("path", { class: "curve main", d: line(model) }),
        ...[["truth", "base"], ["yours", "main"]].map(([words, role], k) => svg("text", { class: `curve-name ${role}`, x: width - 14, y: 36 + 16 * k, "text-anchor": "end" }, words)));
}

/** Two maps of all models: the error of their forces, and that of their g(r). */
function drawPads(node, screen, data, state, truth) {
    const width = node.clientWidth || 540, [rows, columns] = [data.bonds.length, data.between.length], left = 46;
    const cell = Math.min(46, (width - left - 24 - 10) / (2 * columns)), top = 30, height = top + rows * cell + 42;
    Object.assign(screen, { cell, top, pads: [left, left + columns * cell + 24] });
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.style.height = `${height}px`;
    node.setAttribute("aria-label", "Maps of all models: force error, error of g(r)");
    const every = data.models.flat(), maps = [["Force error / meV/Å", (m) => m.force_mae, error], ["Error of g(r)", (m) => structureError(m, truth), (v) => v.toFixed(2)]];
    node.replaceChildren(...maps.flatMap(([words, ask, text], k) => {
        const from = screen.pads[k], most = Math.max(...every.map(ask));
        return [svg("text", { class: "strong", x: from, y: 18 }, words), ...data.models.flatMap((row, i) => row.flatMap((model, j) => {
            const place = { x: from + j * cell, y: top + (rows - 1 - i) * cell }, { fill, ink } = shade(ask(model) / most);
            return [svg("rect", { class: "cell", ...place, width: cell - 2, height: cell - 2, rx: 4, style: `fill: ${fill}` }),
                svg("text", { x: place.x + cell / 2 - 1, y: place.y + cell / 2 + 4, "text-anchor": "middle", style: `fill: ${ink}; font-size: ${Math.min(12, cell / 2.9)}px` }, text(ask(model)))];
        })), ...data.between.map((share, j) => svg("text", { x: from + (j + 0.5) * cell - 1, y: top + rows * cell + 13, "text-anchor": "middle", style: "font-size: 11px" }, number(100 * share))),
        svg("rect", { class: "chosen", x: from + state.between * cell - 1.5, y: top + (rows - 1 - state.bonds) * cell - 1.5, width: cell + 1, height: cell + 1, rx: 5 })];
    }), ...data.bonds.map((share, i) => svg("text", { x: left - 6, y: top + (rows - 0.5 - i) * cell + 4, "text-anchor": "end", style: "font-size: 11px" }, percent(share))),
    svg("text", { x: left, y: height - 8 }, "→ charges too small / %"), svg("text", { x: 2, y: top - 12 }, "↑ stiff"));
}
