// A microscope for sums of vectors: what an atom of water hears, as numbers alone and with arrows.
//
// A PaiNN small enough to follow: one feature, all weights 1, φ = tanh, W(d) = ½ (cos πd/r_c + 1), in the plane.
//   message   s_i += Σ_j φ(s_j) W(d_ij)      v_i += Σ_j [φ(s_j) r̂_ij + v_j] W(d_ij)
//   update    v_i += b                       s_i += ‖v_i‖              (b = 0 in PaiNN; a bias is forbidden)
// The blind network has the first sum alone.  Read out: Σ s_i.  `data` (explain.py): bond / Å, bias, start.

const ANGLES = [90, 180], CUTOFFS = [0.8, 2.4], ORBIT = 1.72, NAMES = ["O", "H", "H"];
const rad = (degrees) => (degrees * Math.PI) / 180;
const plus = (a, b, times = 1) => [a[0] + times * b[0], a[1] + times * b[1]];

/** Where O and both H are, in Å: y points up, the molecule opens downwards and is turned counterclockwise. */
function placesOf({ angle, turn }, bond) {
    const arm = (side) => { const way = rad(turn - 90 + (side * angle) / 2); return [bond * Math.cos(way), bond * Math.sin(way)]; };
    return [[0, 0], arm(-1), arm(1)];
}

/** [{i, j, d, way, W}]: atom i hears atom j. */
function pairsOf(places, cutoff) {
    const pairs = [];
    for (const i of [0, 1, 2]) for (const j of [0, 1, 2]) {
        const r = plus(places[j], places[i], -1), d = Math.hypot(...r);
        if (i !== j && d < cutoff) pairs.push({ i, j, d, way: [r[0] / d, r[1] / d], W: 0.5 * (Math.cos((Math.PI * d) / cutoff) + 1) });
    }
    return pairs;
}

/** {s, v, said}: numbers and arrows of the three atoms after some rounds, and what is read out. */
function listen(places, { cutoff, rounds, bias }, sees, strength) {
    const pairs = pairsOf(places, cutoff), b = bias ? [strength, strength] : [0, 0];
    let s = [1, 1, 1], v = [[0, 0], [0, 0], [0, 0]];
    for (let round = 0; round < rounds; round++) {
        const [before, arrows] = [[...s], [...v]];
        for (const { i, j, way, W } of pairs) {
            s[i] += Math.tanh(before[j]) * W;
            if (sees) v[i] = plus(plus(v[i], way, Math.tanh(before[j]) * W), arrows[j], W);
        }
        if (sees) [v, s] = [v.map((arrow) => plus(arrow, b)), s.map((value, i) => value + Math.hypot(...plus(v[i], b)))];
    }
    return { s, v, said: s[0] + s[1] + s[2] };
}

function build(panel, data) {
    const range = (name, words) => `<label class="range"><span>${words}</span><output class="of-${name}"></output><input type="range" class="${name}"></label>`;
    panel.fill(`
<div class="stage"><svg class="room" role="img"></svg>
  <p class="legend"><span class="main">→ sum at an atom</span><span class="third">→ its parts</span><span class="base biased">→ bias</span><span>◌ reach of O</span></p>
  <svg class="plots" aria-hidden="true"></svg></div>
<div class="side">
  ${range("angle", "Angle H–O–H")}${range("turn", "Turn the molecule")}${range("cutoff", "Cutoff")}
  <fieldset><legend>Rounds of message passing</legend><div class="segments">${[0, 1, 2, 3].map((k) =>
        `<label><input type="radio" name="rounds" value="${k}">${k}</label>`).join("")}</div></fieldset>
  <label class="check"><input type="checkbox" class="bias">A bias b on arrows (forbidden)</label>
  <table><thead><tr><th>atom</th><th class="base">blind s</th><th class="main">s</th><th class="main">‖v‖</th></tr></thead><tbody></tbody></table>
  <p class="words" role="status"></p>
</div>
<p class="hint">Drag a hydrogen to bend, the round handle to turn. What to see: bending, the blind network stands still; turning,
  both must. Here all weights are 1, φ = tanh, W(d) = ½(cos πd/r<sub>c</sub> + 1), no units; each of PaiNN’s 64 features has weights of its own.</p>`);
    const state = { ...data.start }, room = panel.part(".room"), plots = panel.part(".plots"), screen = {};
    panel.slider(".angle", { min: ANGLES[0], max: ANGLES[1], step: 0.5 }, state, "angle");
    panel.slider(".turn", { min: -180, max: 180, step: 1 }, state, "turn");
    panel.slider(".cutoff", { min: CUTOFFS[0], max: CUTOFFS[1], step: 0.01 }, state, "cutoff");
    panel.radios("rounds", state);
    panel.part(".bias").checked = state.bias;
    panel.part(".bias").onchange = ({ target }) => { state.bias = target.checked; panel.refresh(); };

    let held = null;
    const direction = (x, y) => (Math.atan2(screen.y - y, x - screen.x) * 180) / Math.PI; // degrees, counterclockwise
    const around = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
    onDrag(room, (x, y) => {
        if (held === "turn") state.turn = Math.round(around(direction(x, y) - 90));
        else state.angle = clamp(2 * Math.abs(around(direction(x, y) - state.turn + 90)), ...ANGLES);
        panel.refresh();
    }, (x, y, { target }) => { held = target.dataset.grip; return Boolean(held); });
    onDrag(plots, (x) => {
        const k = x < plots.clientWidth / 2 ? 0 : 1, value = screen.across?.[k].inverse(x);
        if (k) state.turn = Math.round(clamp(value, -180, 180)); else state.angle = clamp(value, ...ANGLES);
        panel.refresh();
    });

    return function draw() {
        const places = placesOf(state, data.bond), networks = [false, true].map((sees) => listen(places, state, sees, data.bias));
        drawRoom(room, screen, state, data, places, networks[1]);
        drawPlots(plots, screen, state, data, networks);
        write(panel, state, data, places, networks);
    };
}

// ------------------------------------------------------------------ the room, in which the molecule turns

function drawRoom(node, screen, state, data, places, { v }) {
    const width = node.clientWidth || 540, height = clamp(0.64 * width, 280, 350), unit = height / 3.95; // pixels of an Å
    Object.assign(screen, { x: width / 2, y: height / 2 });
    const at = ([x, y]) => [screen.x + unit * x, screen.y - unit * y], turned = at([ORBIT * Math.cos(rad(state.turn + 90)), ORBIT * Math.sin(rad(state.turn + 90))]);
    const longest = Math.max(0.05, ...[90, 135, 180].flatMap((angle) => listen(placesOf({ ...state, angle }, data.bond), state, true, data.bias).v.map((a) => Math.hypot(...a))));
    const arrow = (from, way, role, scale = 1.15 / longest) => { // 1.15 Å for the longest
        const [x1, y1] = at(from), [x2, y2] = at(plus(from, way, scale)), length = Math.hypot(x2 - x1, y2 - y1);
        if (length < 2) return [];
        const head = Math.min(11, length * 0.6), [cx, cy] = [(x2 - x1) / length, (y2 - y1) / length], [bx, by] = [x2 - head * cx, y2 - head * cy];
        return [svg("line", { class: `arrow ${role}`, x1, y1, x2: bx + cx, y2: by + cy }),
            svg("path", { class: `head ${role}`, d: `M${x2} ${y2}L${bx - head * 0.42 * cy} ${by + head * 0.42 * cx}L${bx + head * 0.42 * cy} ${by - head * 0.42 * cx}Z` })];
    };
    const pairs = pairsOf(places, state.cutoff), heard = pairs.filter(({ i, j }) => i < j);
    const parts = state.rounds > 0 ? pairs.filter(({ i }) => i === 0).map(({ way, W }) => [way[0] * W * Math.tanh(1), way[1] * W * Math.tanh(1)]) : [];
    const shown = state.rounds == 1 && parts.length === 2 ? [...arrow([0, 0], parts[0], "part"), ...arrow(plus([0, 0], parts[0], 1.15 / longest), parts[1], "part")] : [];
    const nailed = state.bias && state.rounds > 0 ? [[0, 0], ...places.slice(1)].flatMap((place) => arrow(place, [data.bias, data.bias], "bias")) : [];
    const [ox, oy] = at([0, 0]), up = rad(state.turn + 90), names = [[0.38 * Math.cos(up), 0.38 * Math.sin(up)], ...places.slice(1).map(([x, y]) => [1.34 * x, 1.34 * y])];
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.style.height = `${height}px`;
    node.setAttribute("aria-label", `Water at ${state.angle.toFixed(0)} degrees, turned by ${state.turn} degrees; arrows at its atoms`);
    node.replaceChildren(
        svg("rect", { class: "walls", x: 6, y: 6, width: width - 12, height: height - 12, rx: 8 }),
        svg("circle", { class: "reach", cx: ox, cy: oy, r: unit * state.cutoff }),
        svg("circle", { class: "orbit", cx: ox, cy: oy, r: ORBIT * unit }),
        ...heard.map(({ i, j }) => svg("line", { class: "bond", x1: at(places[i])[0], y1: at(places[i])[1], x2: at(places[j])[0], y2: at(places[j])[1] })),
        ...places.map((place, k) => svg("circle", { class: `atom ${NAMES[k]}`, cx: at(place)[0], cy: at(place)[1], r: unit * (k ? 0.19 : 0.25) })),
        ...nailed, ...shown, ...places.flatMap((place, k) => arrow(place, v[k], "sum")),
        ...names.map((place, k) => svg("text", { class: "symbol", x: at(place)[0], y: at(place)[1] + 5, "text-anchor": "middle" }, NAMES[k])),
        ...places.slice(1).map((place) => svg("circle", { class: "touch", "data-grip": "bend", cx: at(place)[0], cy: at(place)[1], r: 24 })),
        svg("circle", { class: "touch", "data-grip": "turn", cx: turned[0], cy: turned[1], r: 22 }),
        svg("circle", { class: "knob", "data-grip": "turn", cx: turned[0], cy: turned[1], r: 11 }),
        svg("text", { class: "onflag", x: turned[0], y: turned[1] + 5, "text-anchor": "middle" }, "↻"));
}

// ------------------------------------------------------------------ what is read out, for every angle and every turn

function drawPlots(node, screen, state, data, networks) {
    const width = node.clientWidth || 540, height = 172, gap = 22, left = 46, half = (width - left - gap - 12) / 2;
    const sweeps = [{ key: "angle", words: "Change on bending", from: ANGLES[0], to: ANGLES[1], ticks: [90, 135, 180] }, { key: "turn", words: "Change on turning", from: -180, to: 180, ticks: [-180, 0, 180] }];
    const zero = [false, true].map((sees) => listen(placesOf({ angle: data.start.angle, turn: 0 }, data.bond), state, sees, data.bias).said);
    const curves = sweeps.map(({ key, from, to }) => [false, true].map((sees) => Array.from({ length: 61 }, (_, k) => {
        const value = from + ((to - from) * k) / 60;
        return [value, listen(placesOf({ ...state, [key]: value }, data.bond), state, sees, data.bias).said - zero[Number(sees)]];
    })));
    const values = curves.flat(2).map(([, said]) => said), [least, most] = [Math.min(-0.05, ...values), Math.max(0.05, ...values)], space = 0.12 * (most - least);
    const y = linear([least - space, most + space], [height - 54, 32]);
    screen.across = sweeps.map(({ from, to }, k) => linear([from, to], [left + k * (half + gap), left + k * (half + gap) + half]));
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.style.height = `${height}px`;
    node.style.touchAction = "pan-y";
    const nodes = [least, 0, most].map((value) => svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`));
    sweeps.forEach(({ key, words, ticks }, k) => {
        const x = screen.across[k], here = x(state[key]);
        nodes.push(svg("rect", { class: "field", x: x(ticks[0]), y: 22, width: half, height: height - 56 }), svg("text", { class: "strong", x: x(ticks[0]), y: 13 }, words),
            svg("line", { class: "here", x1: here, x2: here, y1: 22, y2: height - 34 }),
            ...ticks.map((tick, t) => svg("text", { x: x(tick), y: height - 18, "text-anchor": ["start", "middle", "end"][t] }, `${tick}°`.replace("-", "−"))));
        if (!k) nodes.push(...["blind", "with arrows"].map((words, n) => svg("text", { class: `curve-name ${n ? "main" : "base"}`, "text-anchor": "end",
            x: x(180) - 5, y: y(curves[0][n].at(-1)[1]) + (curves[0][n].at(-1)[1] < curves[0][1 - n].at(-1)[1] ? 18 : -9) }, words)));
        [false, true].forEach((sees, n) => nodes.push(
            svg("path", { class: `curve ${sees ? "main" : "base under"}`, d: curves[k][n].map(([value, said], p) => `${p ? "L" : "M"}${x(value).toFixed(1)} ${y(said).toFixed(1)}`).join("") }),
            svg("circle", { class: `points ${sees ? "main" : "base"}`, cx: here, cy: y(networks[n].said - zero[n]), r: sees ? 5 : 8 })));
    });
    node.replaceChildren(...nodes);
}

function write(panel, state, { bias }, places, networks) {
    const [blind, seeing] = networks, far = Math.hypot(...plus(places[1], places[2], -1));
    for (const [name, text] of Object.entries({ angle: `${state.angle.toFixed(1)}°`, turn: `${state.turn}°`.replace("-", "−"), cutoff: `${state.cutoff.toFixed(2)} Å` })) {
        panel.part(`.of-${name}`).textContent = text;
        panel.part(`input.${name}`).value = state[name];
        panel.part(`input.${name}`).setAttribute("aria-valuetext", text);
    }
    const cells = (first, values) => `<tr><th>${first}</th>${values.map((value) => `<td>${value === null ? "" : value.toFixed(3)}</td>`).join("")}</tr>`;
    panel.part(".biased").hidden = !state.bias;
    panel.part("tbody").innerHTML = NAMES.map((name, k) => cells(name, [blind.s[k], seeing.s[k], Math.hypot(...seeing.v[k])])).join("") + cells("read out", [blind.said, seeing.said, null]);
    panel.part(".words").textContent = Number(state.rounds) === 0 ? "Nobody has listened yet: every atom has its number, and no arrow."
        : state.bias ? `The bias (${bias} in x and in y, thin arrows) is nailed to the room. Turn the molecule: what is read out changes, and must not.`
        : far < state.cutoff ? `Now the hydrogens, ${far.toFixed(2)} Å apart, hear each other: through their distance the blind network sees the angle, too.`
        : places.every((place, k) => !k || Math.hypot(...place) >= state.cutoff) ? "Nobody hears anybody: the cutoff is shorter than the bonds."
        : "At O the arrows to both hydrogens add up: the narrower the angle, the longer the sum. At 180° it is nothing.";
}
