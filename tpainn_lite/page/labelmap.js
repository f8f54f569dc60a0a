// A map of a molecule's two torsions: click to label, and a committee learns at once; where does it doubt, where is it wrong?
//
// `data` (explain.py): n × n energies {classical, reference} in meV, row by row of the first torsion; torsions, molecule,
// methods, start.  A member of the committee is a sum of waves cos(pφ + qψ), which a mirror image leaves as they are.
// Like a network it begins with random weights, which training moves no further than the labels ask:
//   f = start + g + K(x, X) [K(X, X) + noise² 1]⁻¹ (y − start − g)(X),     K = Σ a²_pq cos(pφ + qψ) cos(pφ' + qψ')

const WAVES = 6, MEMBERS = [1.2, 1.5, 1.8, 2.2], NOISE = 3; // largest p and q; how fine each member's waves are; meV
const SIZES = { classical: 50, nothing: 90 }; // meV, of the random beginnings
const AGREE = 25, WRONG = 50; // meV
const ENERGY = { most: 450, stops: ["#253494", "#2c7fb8", "#41b6c4", "#a1dab4", "#ffffcc"] };
const DOUBT = { most: 150, stops: ["#fdf6ec", "#fdcc8a", "#f28e4b", "#c7402d", "#6d0d1f"] };

const colours = (stops) => stops.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Random numbers of the normal distribution, the same for the same seed (mulberry32; Box and Muller). */
function gaussian(seed) {
    const uniform = () => {
        let t = (seed += 0x6d2b79f5);
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** The x of Ax = b for a symmetric, positive A (Cholesky). */
function solve(A, b) {
    const n = b.length, L = A.map((row) => [...row]), x = [...b];
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) {
        let sum = L[i][j];
        for (let k = 0; k < j; k++) sum -= L[i][k] * L[j][k];
        L[i][j] = i === j ? Math.sqrt(sum) : sum / L[j][j];
    }
    for (let i = 0; i < n; i++) { for (let k = 0; k < i; k++) x[i] -= L[i][k] * x[k]; x[i] /= L[i][i]; }
    for (let i = n - 1; i >= 0; i--) { for (let k = i + 1; k < n; k++) x[i] -= L[k][i] * x[k]; x[i] /= L[i][i]; }
    return x;
}

/** Four members that begin differently: fit(labels, start) gives what they say, the mean, the doubt and the error / meV. */
function committeeOf({ n, classical, reference }) {
    const orders = [], turn = (2 * Math.PI) / n;
    for (let p = 0; p <= WAVES; p++) for (let q = p ? -WAVES : 0; q <= WAVES; q++) orders.push([p, q]);
    const waves = reference.map((_, k) => orders.map(([p, q]) => Math.cos(turn * (p * (Math.floor(k / n) - n / 2) + q * ((k % n) - n / 2)))));
    const members = MEMBERS.map((fine, seed) => {
        const random = gaussian(seed + 1), rough = orders.map(([p, q]) => Math.exp(-(p * p + q * q) / (2 * fine * fine) + 0.3 * random()));
        const size = Math.sqrt(rough.reduce((sum, a) => sum + (a * a) / 2, 0)), a = rough.map((value) => value / size);
        a[0] = 3; // the zero of energy may be anywhere
        const begun = a.map((value, k) => (k ? value * random() : 0));
        return { squares: a.map((value) => value * value), g: waves.map((row) => row.reduce((sum, wave, k) => sum + wave * begun[k], 0)) };
    });
    const fit = (labels, start) => {
        const size = SIZES[start], before = (k) => (start === "classical" ? classical[k] : 0);
        const said = members.map(({ squares, g }) => {
            const kernel = (a, b) => size * size * squares.reduce((sum, square, k) => sum + square * waves[a][k] * waves[b][k], 0);
            const K = labels.map((a, i) => labels.map((b, j) => kernel(a, b) + (i === j ? NOISE * NOISE : 0)));
            const weights = solve(K, labels.map((k) => reference[k] - before(k) - size * g[k]));
            const learnt = squares.map((square, k) => size * size * square * labels.reduce((sum, label, i) => sum + weights[i] * waves[label][k], 0));
            return waves.map((row, k) => before(k) + size * g[k] + row.reduce((sum, wave, f) => sum + wave * learnt[f], 0));
        });
        const middle = reference.map((_, k) => mean(said.map((values) => values[k])));
        const doubt = middle.map((m, k) => Math.sqrt(said.reduce((sum, values) => sum + (values[k] - m) ** 2, 0) / (said.length - 1)));
        return { mean: middle, doubt, error: middle.map((m, k) => Math.abs(m - reference[k])) };
    };
    return { fit };
}

function build(panel, data) {
    const { n, torsions: [first, second], methods } = data, step = 360 / n;
    const map = (name, words, scale) => `<figure class="map ${name}"><figcaption>${words}</figcaption><div class="field"><canvas width="${n}" height="${n}"></canvas>
        <svg viewBox="0 0 ${n} ${n}" aria-hidden="true"></svg></div><div class="scale"><span>0</span><i style="background: linear-gradient(90deg, ${scale.stops.join()})"></i><span>${scale.most} meV</span></div></figure>`;
    panel.fill(`
<div class="stage maps">${map("said", `Energy, says the committee <span class="quiet">→ ${first} ↑ ${second}</span>`, ENERGY)}${map("doubt", "Disagreement", DOUBT)}${map("error", "True error", DOUBT)}</div>
<div class="side">
  <div class="reading"><strong class="big"></strong><p class="agree"></p></div>
  <fieldset><legend>The committee starts from</legend><div class="segments"><label><input type="radio" name="from" value="classical">${methods.classical}</label>
    <label><input type="radio" name="from" value="nothing">nothing</label></div></fieldset>
  <div class="buttons"><button class="most">Label the most doubtful</button><button class="random">Label any</button><button class="undo">Undo</button><button class="clear">Clear</button></div>
  <svg class="course" role="img"></svg>
  <p class="place quiet" role="status"></p>
</div>
<p class="hint">Click a place to have its energy computed (keys: arrows move, Enter labels); its mirror image comes free. What to see:
  outlined, all four members agree within ${AGREE} meV, and are wrong by more than ${WRONG} meV. Rigid ${data.molecule}, both torsions from −180° to 165°;
  energies by ${methods.reference}, over the lowest.</p>`);
    const committee = committeeOf(data), state = { ...data.start, labels: [...data.start.labels] }, random = gaussian(77);
    const field = panel.part(".said .field"), angle = (k) => `${Math.round(k * step - 180)}°`.replace("-", "−");
    const label = (k) => { if (!state.labels.includes(k) && state.labels.length < 60) state.labels.push(k); state.here = k; panel.refresh(); };
    field.tabIndex = 0;
    field.setAttribute("role", "application");
    field.setAttribute("aria-label", `Map of ${first} and ${second}: arrow keys move, Enter labels`);
    for (const node of panel.root.querySelectorAll(".field")) {
        const cell = ({ clientX, clientY }) => {
            const { left, top, width, height } = node.getBoundingClientRect(), index = (share) => clamp(Math.floor(share * n), 0, n - 1);
            return index((clientX - left) / width) * n + index(1 - (clientY - top) / height);
        };
        node.addEventListener("click", (event) => label(cell(event)));
        node.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") { state.here = cell(event); panel.refresh(); } });
    }
    const go = (along, up) => (times) => {
        const wrap = (k) => (k + n) % n;
        state.here = wrap(Math.floor(state.here / n) + along * times) * n + wrap((state.here % n) + up * times);
        panel.refresh();
    };
    const here = () => label(state.here);
    onKeys(field, { ArrowLeft: go(-1, 0), ArrowRight: go(1, 0), ArrowUp: go(0, 1), ArrowDown: go(0, -1), Enter: here, " ": here, Backspace: () => undo() });
    const undo = () => { state.labels.pop(); panel.refresh(); };
    panel.part(".undo").onclick = undo;
    panel.part(".clear").onclick = () => { state.labels = []; panel.refresh(); };
    panel.part(".most").onclick = () => label(now().doubt.reduce((best, value, k, all) => (value > all[best] && !state.labels.includes(k) ? k : best), 0));
    panel.part(".random").onclick = () => label(Math.floor(n * n * (0.5 + Math.atan(3 * random()) / Math.PI)));
    panel.radios("from", state);

    const kept = new Map(); // each fit is made once
    const fitOf = (labels, from) => {
        const key = `${from} ${labels}`;
        if (!kept.has(key)) kept.set(key, committee.fit(labels, from));
        return kept.get(key);
    };
    const now = () => fitOf(state.labels, state.from);

    return function draw() {
        const found = now(), blind = found.error.map((error, k) => error > WRONG && found.doubt[k] < AGREE), { here } = state;
        paint(panel.part(".said"), found.mean, ENERGY, n, state, null);
        paint(panel.part(".doubt"), found.doubt, DOUBT, n, state, blind);
        paint(panel.part(".error"), found.error, DOUBT, n, state, blind);
        const course = Object.fromEntries(Object.keys(SIZES).map((from) => [from, Array.from({ length: state.labels.length + 1 }, (_, k) => mean(fitOf(state.labels.slice(0, k), from).error))]));
        drawCourse(panel.part(".course"), course, state, methods);
        const words = [`${mean(found.error).toFixed(0)} meV`, `mean error with ${state.labels.length} label${state.labels.length === 1 ? "" : "s"}`];
        panel.part(".big").replaceChildren(words[0], Object.assign(document.createElement("small"), { textContent: words[1] }));
        panel.part(".agree").textContent = `${mean(found.doubt).toFixed(0)} meV mean disagreement. In ${((100 * blind.filter(Boolean).length) / blind.length).toFixed(0)} % of the map all agree and are wrong.`;
        panel.part(".place").textContent = `${first} ${angle(Math.floor(here / n))}, ${second} ${angle(here % n)}: the committee says ${found.mean[here].toFixed(0).replace("-", "−")} ± ${found.doubt[here].toFixed(0)} meV, `
            + `${methods.classical} ${data.classical[here].toFixed(0)}, ${methods.reference} ${data.reference[here].toFixed(0)} meV.`;
        panel.part(".undo").disabled = panel.part(".clear").disabled = !state.labels.length;
        for (const name of [".most", ".random"]) panel.part(name).disabled = state.labels.length >= 60;
    };
}

/** A map in colours, with the labels, their mirror images, the place looked at and the outline of `marked`. */
function paint(figure, values, { most, stops }, n, { labels, here }, marked) {
    const pen = figure.querySelector("canvas").getContext("2d"), image = pen.createImageData(n, n), palette = colours(stops);
    values.forEach((value, k) => {
        const where = clamp(value / most, 0, 1) * (palette.length - 1), low = Math.min(Math.floor(where), palette.length - 2), at = 4 * (Math.floor(k / n) + n * (n - 1 - (k % n)));
        palette[low].forEach((part, c) => { image.data[at + c] = part + (palette[low + 1][c] - part) * (where - low); });
        image.data[at + 3] = 255;
    });
    pen.putImageData(image, 0, 0);
    const centre = (k) => ({ cx: Math.floor(k / n) + 0.5, cy: n - 0.5 - (k % n) }), mirror = (k) => ((n - Math.floor(k / n)) % n) * n + ((n - (k % n)) % n);
    const { cx, cy } = centre(here), edges = (marked ?? []).flatMap((is, k) => {
        if (!is) return [];
        const [i, j] = [Math.floor(k / n), k % n], free = (a, b) => a < 0 || b < 0 || a >= n || b >= n || !marked[a * n + b];
        return [free(i - 1, j) && `M${i} ${n - j}v-1`, free(i + 1, j) && `M${i + 1} ${n - j}v-1`, free(i, j - 1) && `M${i} ${n - j}h1`, free(i, j + 1) && `M${i} ${n - j - 1}h1`].filter(Boolean);
    });
    figure.querySelector("svg").replaceChildren(svg("path", { class: "outline", d: edges.join("") }),
        svg("path", { class: "cross", d: `M${cx} 0V${n}M0 ${cy}H${n}` }),
        ...labels.map(mirror).filter((k) => !labels.includes(k)).map((k) => svg("circle", { class: "mirror", ...centre(k), r: 0.32 })),
        ...labels.map((k, i) => svg("circle", { class: i === labels.length - 1 ? "label last" : "label", ...centre(k), r: 0.42 })));
}

/** Mean error over the number of labels, from both starts. */
function drawCourse(node, course, { labels, from }, methods) {
    const width = node.clientWidth || 270, height = 132, top = 120, count = Math.max(12, labels.length);
    const x = linear([0, count], [34, width - 8]), y = linear([0, top], [height - 22, 16]);
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.style.height = `${height}px`;
    node.setAttribute("aria-label", `Mean error after each label; now ${course[from].at(-1).toFixed(0)} meV`);
    const line = (values) => values.map((value, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(Math.min(value, top)).toFixed(1)}`).join("");
    node.replaceChildren(...[0, 50, 100].flatMap((tick) => [svg("line", { class: "grid", x1: 34, x2: width - 8, y1: y(tick), y2: y(tick) }), svg("text", { x: 28, y: y(tick) + 4, "text-anchor": "end" }, tick)]),
        svg("text", { x: 0, y: 8 }, "mean error / meV"), svg("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, `${count} labels`),
        ...[["nothing", "base", "from nothing"], ["classical", "main", `from ${methods.classical}`]].flatMap(([key, role, words], k) => [
            svg("path", { class: `curve ${role}`, d: line(course[key]) }), svg("circle", { class: `points ${role}`, cx: x(labels.length), cy: y(Math.min(course[key].at(-1), top)), r: key === from ? 5.5 : 3.5 }),
            svg("text", { class: `curve-name ${role}`, x: width - 8, y: 24 + 15 * k, "text-anchor": "end" }, words)]));
}
