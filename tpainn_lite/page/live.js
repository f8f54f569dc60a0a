// Molecules that move in the page: MD with a trained potential, to be watched, heated and pulled, without a kernel.
//
// One ES module for notebooks (anywidget calls `render`) and for pages (`show`).  `widget.py` makes the scene: the
// structure, the potentials' weights, the engine (`engine.c`, compiled) and `live.css`.  Nothing else is ever loaded.
//
//   Live (controls, charts, messages) ── "next" with the settings ──▶ physics (a worker; the engine inside)
//                                     ◀── a picture: where the atoms are, bonds, forces, energies ──
//
// Units are the library's: eV, Å, K, fs.

const FORMAT = 1; // of the scene
const KEPT = 480; // pictures that the charts remember
const PACES = { slow: 30, normal: 600, fast: 1e7 }; // fs that pass in a second, at most
const SPRING = 2; // eV/Å², of the spring by which an atom is pulled
const ARROW = 0.6; // Å of an arrow for 1 eV/Å of force
const STICK = 0.13; // Å, radius of a bond
const INKS = { // of the pictures; those of the panel are in live.css
    light: { paper: [255, 255, 255], outline: "rgb(25 28 32 / 80%)", text: "#1c1f22", quiet: "#5b636b", line: "#dfe3e7",
        lighter: 0, spring: "#8a4b00" },
    dark: { paper: [27, 31, 35], outline: "rgb(0 0 0 / 75%)", text: "#e4e6e8", quiet: "#98a1a9", line: "#3a4148",
        lighter: 0.3, spring: "#f0b35a" },
};

export default {
    render({ model, el }) {
        const live = show(el, model.get("scene"));
        return () => live.close();
    },
};

/** Put the scene into an element of a page; what the element shows goes away with the first picture. */
export function show(element, scene) {
    return new Live(element, scene);
}

// ------------------------------------------------------------------ physics, in a worker

/** All that a worker needs, in one function, because its text is what the worker runs. */
function physics(port) {
    const KB = 8.617330337217213e-5; // eV/K
    const BONDED = 1.25, BROKEN = 1.6, TOO_CLOSE = 0.5, TOO_HOT = 10; // as in the library: geometry.py, md.py
    const BUDGET = 13; // ms from one picture to the next
    let scene, module, engines, engine, bonds, time, stopped, resets;

    const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const doublesOf = (text) => new Float64Array(bytesOf(text).buffer);

    /** One structure under one potential. */
    class Engine {
        constructor(potential) {
            const { structure } = scene;
            this.name = potential.name;
            this.n = structure.species.length;
            if (potential.unknown.length)
                throw new Error(`${potential.name} was not made for ${potential.unknown.join(", ")}; it knows ` +
                    `${potential.elements.join(", ")}. Choose another potential.`);
            this.wasm = new WebAssembly.Instance(module).exports;
            this.wasm.set_structure(this.n);
            for (const name of ["positions", "velocities", "masses", "radii"])
                this.doubles(name).set(doublesOf(structure[name]));
            this.doubles("cell", 9).set(structure.cell);
            this.integers("pbc", 3).set(structure.pbc);
            this.integers("species", this.n).set(structure.species);
            this.setNetwork(potential);
            this.energyAtStart = this.wasm.evaluate();
            if (!Number.isFinite(this.energyAtStart))
                throw new Error(`${potential.name} gives no finite energy: its weights are damaged.`);
        }
        setNetwork(potential) {
            const { n_features, n_interactions, n_rbf, cutoff, scale } = potential;
            const size = [n_features, n_interactions, n_rbf], species = 1 + Math.max(...scene.structure.species);
            const weights = bytesOf(potential.weights), expected = this.wasm.weight_bytes(...size, species, 1);
            if (weights.length !== expected)
                throw new Error(`The weights of ${this.name} are damaged or foreign: ${weights.length} bytes are ` +
                    `there, ${expected} are expected.`);
            const address = this.wasm.reserve(weights.length);
            new Uint8Array(this.wasm.memory.buffer, address, weights.length).set(weights);
            this.wasm.set_network(...size, cutoff, scale, species, address, 1);
        }
        doubles(name, length) {
            const count = length ?? (name === "masses" || name === "radii" ? this.n : 3 * this.n);
            return new Float64Array(this.wasm.memory.buffer, this.wasm[name](), count);
        }
        integers(name, length) {
            return new Int32Array(this.wasm.memory.buffer, this.wasm[name](), length);
        }
        /** [{i, j, nearness, vector}] of all pairs nearer than `factor` times the length of a bond. */
        contacts(factor) {
            const count = this.wasm.find_contacts(factor), address = this.wasm.contacts();
            const whole = new Int32Array(this.wasm.memory.buffer, address, 6 * count);
            const real = new Float32Array(this.wasm.memory.buffer, address, 6 * count);
            return Array.from({ length: count }, (_, k) => ({
                i: whole[6 * k], j: whole[6 * k + 1],
                nearness: real[6 * k + 2], vector: real.slice(6 * k + 3, 6 * k + 6),
            }));
        }
        temperature() {
            return (2 * this.wasm.kinetic_energy()) / (3 * this.n * KB);
        }
    }

    /** The engine of one potential, made once; it begins where the others begin. */
    function engineOf(index) {
        return (engines[index] ??= new Engine(scene.potentials[index]));
    }

    /** Go on with another potential: positions and velocities stay. */
    function swap(index) {
        const next = engineOf(index);
        if (next === engine) return;
        for (const name of ["positions", "velocities"]) next.doubles(name).set(engine.doubles(name));
        engine = next;
        engine.wasm.evaluate();
    }

    function restart(settings) {
        engine = engineOf(settings.potential);
        const hotter = Math.sqrt(settings.temperature / scene.settings.temperature);
        engine.doubles("positions").set(doublesOf(scene.structure.positions));
        engine.doubles("velocities").set(doublesOf(scene.structure.velocities).map((v) => v * hotter));
        engine.wasm.set_seed(scene.settings.seed + settings.resets);
        engine.wasm.evaluate();
        time = 0;
        stopped = null;
        bonds = bondsNow();
        resets = settings.resets;
    }

    // ---------------- the guard of run_md

    const bondsNow = () => engine.contacts(BONDED).map(({ i, j }) => [i, j]);
    const nameOf = (atom) => scene.structure.symbols[scene.structure.species[atom]] + atom;

    /** Why the run must stop, or null. */
    function trouble(contacts, temperature) {
        const hot = engine.temperature();
        if (!(hot <= TOO_HOT * temperature + 3000)) return `the structure exploded (temperature ${hot.toFixed(0)} K)`;
        const close = contacts.find(({ nearness }) => nearness < TOO_CLOSE);
        if (close) return `atoms ${nameOf(close.i)} and ${nameOf(close.j)} collapsed onto each other`;
        const there = new Set(contacts.map(({ i, j }) => i * engine.n + j));
        const broken = bonds.find(([i, j]) => !there.has(i * engine.n + j));
        return broken ? `the bond ${nameOf(broken[0])}–${nameOf(broken[1])} broke` : null;
    }

    // ---------------- pictures

    /** Shifts of atoms by which no molecule is cut by the walls; in empty space all follow the centre of mass. */
    function shifts(positions, contacts) {
        const { boxed, pbc, cell, inverse } = scene.structure, n = engine.n, shift = new Float64Array(3 * n);
        if (!boxed) {
            const masses = engine.doubles("masses"), centre = [0, 0, 0], total = masses.reduce((a, b) => a + b, 0);
            for (let k = 0; k < 3 * n; k++) centre[k % 3] += (masses[(k / 3) | 0] * positions[k]) / total;
            return shift.map((_, k) => -centre[k % 3]);
        }
        const neighbours = Array.from({ length: n }, () => []);
        for (const { i, j, vector } of contacts) {
            neighbours[i].push([j, vector, 1]);
            neighbours[j].push([i, vector, -1]);
        }
        const seen = new Uint8Array(n);
        for (let first = 0; first < n; first++) {
            if (seen[first]) continue;
            const molecule = [first], middle = [0, 0, 0];
            seen[first] = 1;
            for (const i of molecule) {
                const place = [0, 1, 2].map((x) => positions[3 * i + x] + shift[3 * i + x]);
                place.forEach((value, x) => { middle[x] += value; });
                for (const [j, vector, sign] of neighbours[i]) {
                    if (seen[j]) continue;
                    seen[j] = 1;
                    molecule.push(j);
                    for (let x = 0; x < 3; x++) shift[3 * j + x] = place[x] + sign * vector[x] - positions[3 * j + x];
                }
            }
            for (let k = 0; k < 3; k++) { // the middle of the molecule lies in the cell
                let cells = 0;
                for (let x = 0; x < 3; x++) cells += (middle[x] / molecule.length) * inverse[3 * x + k];
                const back = pbc[k] ? -Math.floor(cells) : 0;
                for (const i of molecule) for (let x = 0; x < 3; x++) shift[3 * i + x] += back * cell[3 * k + x];
            }
        }
        return shift;
    }

    let shown = null; // shifts of the last picture, which pointers refer to

    function picture(settings, steps, milliseconds) {
        const near = engine.contacts(BROKEN), contacts = near.filter(({ nearness }) => nearness < BONDED);
        const positions = engine.doubles("positions");
        if (steps) {
            const reason = trouble(near, settings.temperature);
            stopped = reason && `At ${time.toFixed(0)} fs: ${reason}.`;
        }
        shown = shifts(positions, contacts);
        const places = Float32Array.from(positions, (value, k) => value + shown[k]);
        const drawn = contacts.filter(({ i, j, vector }) => // not those that cross the whole box
            vector.every((value, x) => Math.abs(places[3 * j + x] - places[3 * i + x] - value) < 0.01));
        return {
            kind: "picture", time, steps, milliseconds, stopped, resets, potential: settings.potential, places,
            forces: Float32Array.from(engine.doubles("forces")), bonds: drawn.map(({ i, j }) => [i, j]),
            temperature: engine.temperature(), kinetic: engine.wasm.kinetic_energy(),
            energy: engine.energy - engine.energyAtStart,
        };
    }

    /** As many steps as fit between two pictures. */
    function advance(settings) {
        const { timestep, friction } = scene.settings, { pull } = settings, started = performance.now();
        const kept = settings.thermostat ? Math.exp((-friction * timestep) / 1000) : 1;
        if (pull && shown) {
            const target = pull.place.map((value, x) => value - shown[3 * pull.atom + x]);
            engine.wasm.pull(pull.atom, ...target, pull.spring);
        } else engine.wasm.pull(-1, 0, 0, 0, 0);
        let steps = 0;
        do {
            engine.energy = engine.wasm.advance(1, timestep, settings.temperature, kept);
            time += timestep;
            steps++;
        } while (steps < settings.most && performance.now() - started < BUDGET);
        return picture(settings, steps, performance.now() - started);
    }

    async function answer({ kind, scene: given, settings }) {
        if (kind === "start") {
            [scene, engines] = [given, []];
            module = await WebAssembly.compile(bytesOf(scene.engine)).catch(() => {
                throw new Error("This browser's WebAssembly cannot run the engine; one of 2023 or newer is needed.");
            });
            restart(settings);
        }
        if (settings.resets !== resets) restart(settings);
        swap(settings.potential);
        if (stopped && settings.advance) [stopped, bonds] = [null, bondsNow()]; // the reader goes on all the same
        if (settings.advance) return advance(settings);
        engine.energy = engine.wasm.evaluate();
        return picture(settings, 0, 0);
    }

    port.onmessage = async ({ data }) => {
        try {
            port.postMessage(await answer(data));
        } catch (error) {
            const text = error.name === "RuntimeError" ? "The engine ran out of memory." : error.message; // a trap
            port.postMessage({ kind: "failure", text });
        }
    };
}

/** Start the physics in a worker or, where a page forbids workers, in the page itself; gives a function that sends. */
function startPhysics(onAnswer) {
    let receive, close = () => {}, answered = false;
    const waiting = [];
    function here() {
        const port = { postMessage: (answer) => setTimeout(onAnswer, 0, answer) };
        physics(port);
        receive = (message) => setTimeout(port.onmessage, 0, { data: message });
        waiting.forEach(receive);
    }
    try {
        const address = URL.createObjectURL(new Blob([`(${physics})(self)`], { type: "text/javascript" }));
        const worker = new Worker(address);
        worker.onmessage = ({ data }) => { answered = true; onAnswer(data); };
        worker.onerror = () => { if (!answered) { worker.terminate(); here(); } };
        receive = (message) => worker.postMessage(message);
        close = () => { worker.terminate(); URL.revokeObjectURL(address); };
    } catch { here(); }
    const send = (message) => { if (!answered) waiting.push(message); receive(message); };
    return { send, close: () => close() };
}

// ------------------------------------------------------------------ the panel

const PANEL = `
<div class="panel" part="panel">
  <div class="stage">
    <canvas class="picture" tabindex="0" role="img"></canvas>
    <div class="badge" aria-hidden="true"></div>
    <p class="message" role="status" hidden></p>
  </div>
  <div class="side">
    <div class="buttons">
      <button type="button" class="play"></button>
      <button type="button" class="reset">Reset</button>
      <output class="clock"></output>
    </div>
    <label class="row potential"><span>Potential</span><select></select></label>
    <label class="row heat"><span>Temperature</span><input type="range"><output></output></label>
    <label class="row bath"><span>Thermostat</span><select>
      <option value="1">Langevin</option><option value="">none: energy is kept</option></select></label>
    <label class="row pace"><span>Pace</span><select>
      <option value="slow">30 fs a second</option><option value="normal">600 fs a second</option>
      <option value="fast">as fast as possible</option></select></label>
    <label class="check"><input type="checkbox"><span>Force arrows</span></label>
    <figure><figcaption><span>Temperature / K</span><output></output></figcaption>
      <canvas class="chart" role="img" aria-label="Temperature over time"></canvas></figure>
    <figure><figcaption><span>Energy since the start / eV</span><output></output></figcaption>
      <canvas class="chart" role="img" aria-label="Energy over time"></canvas></figure>
  </div>
  <p class="hint">Drag an atom to pull it, drag elsewhere to turn<span class="keys">. Keys: arrows turn, + and − zoom,
    space pauses.</span><span class="fingers">, pinch to zoom.</span></p>
</div>`;

class Live {
    constructor(element, scene) {
        this.element = element;
        this.host = document.createElement("div");
        this.host.className = "tpainn-live-host";
        this.host.live = this; // for those who want to look inside
        this.host.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the keys for itself
        const root = this.host.attachShadow({ mode: "open" });
        root.innerHTML = `<style>${scene?.style ?? ""}</style>${PANEL}`;
        this.part = (selector) => root.querySelector(selector);
        this.charts = [...root.querySelectorAll(".chart")];
        this.readings = [...root.querySelectorAll("figure output")];
        this.closers = [];
        try {
            if (scene?.format !== FORMAT)
                throw new Error("What this box should show is damaged, or of another version of tpainn_lite.");
            if (typeof WebAssembly === "undefined")
                throw new Error("This browser has no WebAssembly, which the engine needs.");
            this.begin(scene);
        } catch (error) { this.fail(error.message); }
    }

    begin(scene) {
        this.scene = scene;
        const { temperature, ensemble } = scene.settings;
        this.settings = { // what the physics get with each message
            potential: Math.max(0, scene.potentials.findIndex(({ unknown }) => !unknown.length)), temperature,
            thermostat: ensemble === "nvt", advance: false, most: 0, pull: null, resets: 0,
        };
        [this.pace, this.due, this.asked] = [PACES.normal, 0, performance.now()]; // due: fs that should have passed
        this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
        this.visible = true;
        this.history = [];
        this.times = []; // when the last pictures were painted, and how many steps each took
        this.camera = new Camera(scene, this.part(".picture"));
        this.fillControls();
        this.followTheme();
        this.hands = new Hands(this);
        this.physics = startPhysics((answer) => this.take(answer));
        this.closers.push(() => this.physics.close());
        this.busy = true;
        this.physics.send({ kind: "start", scene: { ...scene, style: "" }, settings: this.settings });
        this.watch();
        this.frame = this.frame.bind(this);
        this.request = requestAnimationFrame(this.frame);
        this.closers.push(() => cancelAnimationFrame(this.request));
    }

    close() {
        this.closers.forEach((closer) => closer());
        this.closers = [];
    }

    // ---------------- controls

    fillControls() {
        const { scene, settings } = this;
        const [choice, heat, bath, pace, arrows] =
            ["potential", "heat", "bath", "pace", "check"].map((name) => this.part(`.${name} :is(select, input)`));
        choice.replaceChildren(...scene.potentials.map(({ name }, k) => new Option(name, k)));
        choice.value = settings.potential;
        this.part(".potential").hidden = scene.potentials.length < 2;
        const { temperature } = settings;
        Object.assign(heat, { min: 10, max: Math.max(1500, temperature), step: 10, value: temperature });
        bath.value = settings.thermostat ? "1" : "";
        pace.value = "normal";
        arrows.checked = scene.settings.arrows;
        this.part(".picture").setAttribute("aria-label", `${scene.alt}. Arrow keys turn it, space pauses.`);
        const on = (part, event, action) => part.addEventListener(event, () => { action(); this.refresh(); });
        on(choice, "change", () => { settings.potential = Number(choice.value); this.say(null); });
        on(heat, "input", () => { settings.temperature = Number(heat.value); });
        on(bath, "change", () => { settings.thermostat = Boolean(bath.value); });
        on(pace, "change", () => { this.pace = PACES[pace.value]; });
        on(arrows, "change", () => { this.scene.settings.arrows = arrows.checked; });
        on(this.part(".play"), "click", () => this.toggle());
        on(this.part(".reset"), "click", () => this.reset());
        this.refresh();
    }

    toggle() {
        this.playing = !this.playing;
        this.say(null);
        this.refresh();
    }

    reset() {
        this.settings.resets++;
        this.history = [];
        this.say(null);
        this.refresh();
    }

    /** Bring the words in line with the settings; paint and ask for a picture even while paused. */
    refresh() {
        this.stale = this.wanted = true;
        this.part(".play").textContent = this.playing ? "Pause" : "Play";
        this.part(".play").setAttribute("aria-pressed", String(this.playing));
        this.part(".heat output").textContent = `${this.settings.temperature} K`;
        this.part(".heat").classList.toggle("idle", !this.settings.thermostat);
    }

    /** A sentence in the box; null takes it away. */
    say(text) {
        const message = this.part(".message");
        message.hidden = !text;
        message.textContent = text ?? "";
    }

    fail(text) {
        this.playing = false;
        if (!this.host.isConnected) this.element.append(this.host);
        this.part(".panel").classList.toggle("empty", !this.picture);
        this.say(text);
        if (this.physics) this.refresh();
        this.wanted = false;
    }

    // ---------------- pictures come and are painted

    take(answer) {
        this.busy = false;
        if (answer.kind === "failure") return this.fail(answer.text);
        if (answer.resets !== this.settings.resets) return;
        this.picture = answer;
        this.stale = true;
        if (this.host.parentNode !== this.element || this.element.childNodes.length > 1) this.arrive();
        if (answer.stopped) {
            this.playing = false;
            this.say(answer.stopped);
            this.refresh();
            this.wanted = false;
        }
        if (answer.steps || !this.history.length) this.remember(answer);
        if (answer.milliseconds > 1000 / 70) this.ask(); // a slow step need not wait for the screen
    }

    /** The first picture: the panel takes the place of the still one. */
    arrive() {
        this.element.replaceChildren(this.host);
        this.part(".panel").classList.remove("empty");
        this.camera.resize();
    }

    remember({ time, temperature, energy, kinetic, potential, steps }) {
        this.history.push({ time, temperature, energy, total: energy + kinetic, potential });
        if (this.history.length > KEPT) this.history.shift();
        this.times.push({ at: performance.now(), steps });
        if (this.times.length > 40) this.times.shift();
    }

    /** Send for the next picture, one at a time. */
    ask() {
        if (this.busy) return;
        const now = performance.now(), { timestep } = this.scene.settings;
        this.due = this.playing ? this.due + (this.pace * Math.min(50, now - this.asked)) / 1000 : 0;
        this.asked = now;
        const most = Math.min(1e6, Math.floor(this.due / timestep)), advance = this.playing && this.visible && most > 0;
        if (!advance && !this.wanted) return;
        if (advance) this.due = Math.min(timestep, this.due - most * timestep) || 0;
        [this.busy, this.wanted] = [true, false];
        Object.assign(this.settings, { advance, most, pull: this.hands.pull() });
        this.physics.send({ kind: "next", settings: this.settings });
    }

    frame(now) {
        this.request = requestAnimationFrame(this.frame);
        this.ask();
        if (!this.stale || !this.picture || !this.visible) return;
        this.stale = false;
        this.camera.paint(this.picture, this.scene.settings.arrows, this.hands.pull(), this.colour());
        if (now - (this.charted ?? 0) > 90 || !this.playing) {
            this.charted = now;
            this.write();
        }
    }

    /** Numbers and charts. */
    write() {
        if (!this.history.length) return;
        const { time, temperature, energy, kinetic } = this.picture, { times } = this;
        const seconds = times.length > 1 ? (times.at(-1).at - times[0].at) / 1000 : 0;
        const passed = times.slice(1).reduce((sum, { steps }) => sum + steps, 0) * this.scene.settings.timestep;
        const [pictures, fs] = [times.length - 1, passed].map((count) => (count / seconds).toFixed(0));
        this.part(".badge").textContent = seconds > 0 && this.playing ? `${pictures} pictures/s · ${fs} fs/s` : "";
        this.part(".clock").textContent = time < 1000 ? `${time.toFixed(1)} fs` : `${(time / 1000).toFixed(2)} ps`;
        const zero = this.history[0].total, gained = energy + kinetic - zero;
        const [heat, work] = this.readings;
        heat.textContent = temperature.toFixed(0);
        const size = Math.abs(gained).toFixed(2);
        work.textContent = (Number(size) ? (gained < 0 ? "−" : "+") : "") + size;
        const colours = this.scene.potentials.map((_, k) => this.colour(k)), { settings, ink } = this;
        const asked = settings.thermostat ? settings.temperature : null;
        const rows = this.history.map(({ total, ...row }) => ({ ...row, gained: total - zero }));
        drawChart(this.charts[0], rows, "temperature", colours, ink, { line: asked, floor: 0 });
        drawChart(this.charts[1], rows, "gained", colours, ink, { line: 0, floor: null });
    }

    /** The colour of a potential, the same as in the library's figures; black is ink. */
    colour(index = this.picture.potential) {
        const { colour } = this.scene.potentials[index];
        if (colour === "#000000") return this.ink.text;
        const parts = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
        return css(mixed(parts, [255, 255, 255], this.ink.lighter));
    }

    // ---------------- where the panel stands

    /** Light or dark, as the page around it says, or the reader's system. */
    followTheme() {
        const system = matchMedia("(prefers-color-scheme: dark)"), { body, documentElement: page } = document;
        const follow = () => {
            const lab = { true: "light", false: "dark" }[body.dataset.jpThemeLight];
            const code = /vscode-(dark|light)/.exec(body.className)?.[1], site = page.dataset.theme;
            const theme = lab || site || page.getAttribute("theme") || code || (system.matches ? "dark" : "light");
            this.host.dataset.theme = theme in INKS ? theme : "light";
            this.ink = INKS[this.host.dataset.theme];
            this.camera.use(this.ink);
            this.stale = true;
        };
        follow();
        system.addEventListener("change", follow);
        const observer = new MutationObserver(follow);
        const attributeFilter = ["data-jp-theme-light", "data-theme", "theme", "class"];
        for (const part of [body, page]) observer.observe(part, { attributes: true, attributeFilter });
        this.closers.push(() => system.removeEventListener("change", follow), () => observer.disconnect());
    }

    /** Out of sight it rests; another size is painted anew. */
    watch() {
        const sight = new IntersectionObserver((entries) => {
            this.visible = entries.at(-1).isIntersecting || !this.host.isConnected;
            this.stale = true;
            this.times = [];
        });
        const size = new ResizeObserver(() => { this.camera.resize(); this.stale = true; });
        sight.observe(this.host);
        [this.part(".picture"), ...this.charts].forEach((part) => size.observe(part));
        this.closers.push(() => sight.disconnect(), () => size.disconnect());
    }
}

// ------------------------------------------------------------------ the picture

const mixed = (a, b, share) => a.map((value, k) => value + (b[k] - value) * share);
const css = (colour) => `rgb(${colour.map((value) => Math.round(Math.min(255, Math.max(0, value)))).join(" ")})`;
const DEPTHS = 8; // shades from near to far

/** Where the eye is, and how atoms, bonds, arrows and the cell are painted, from the farthest to the nearest. */
class Camera {
    constructor({ structure, view }, canvas) {
        Object.assign(this, { structure, canvas, zoom: 1 });
        this.turn = view.turn; // (3, 3): rows are the page's right and up, and the eye
        this.centre = view.centre;
        this.halfWidth = view.half_width;
        this.pen = canvas.getContext("2d");
        this.sprites = new Map();
    }

    use(ink) {
        this.ink = ink;
        this.sprites.clear();
    }

    resize() {
        this.density = Math.min(2, devicePixelRatio || 1);
        this.width = this.canvas.clientWidth;
        this.height = this.canvas.clientHeight;
        this.canvas.width = Math.round(this.width * this.density);
        this.canvas.height = Math.round(this.height * this.density);
        this.rescale();
    }

    rescale() {
        this.scale = (this.zoom * Math.min(this.width, this.height)) / (2 * this.halfWidth); // pixels per Å
        this.sprites.clear();
    }

    zoomBy(factor) {
        this.zoom = Math.min(8, Math.max(0.3, this.zoom * factor));
        this.rescale();
    }

    /** Turn by angles: right about the page's vertical, down about its horizontal. */
    turnBy(right, down) {
        const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(down), Math.sin(down)];
        const [a, b, e] = [0, 3, 6].map((k) => this.turn.slice(k, k + 3));
        const x = a.map((value, k) => c * value + s * e[k]), z = a.map((value, k) => c * e[k] - s * value);
        const y = b.map((value, k) => d * value - t * z[k]), eye = b.map((value, k) => t * value + d * z[k]);
        this.turn = [...x, ...y, ...eye];
    }

    /** [x, y in pixels, depth in Å towards the eye] of a place in Å. */
    seen(x, y, z) {
        const { turn: m, centre: c } = this, [p, q, r] = [x - c[0], y - c[1], z - c[2]];
        return [this.width / 2 + this.scale * (m[0] * p + m[1] * q + m[2] * r),
            this.height / 2 - this.scale * (m[3] * p + m[4] * q + m[5] * r), m[6] * p + m[7] * q + m[8] * r];
    }

    /** The place in Å that is seen at this pixel, at this depth. */
    place(x, y, depth) {
        const { turn: m, centre, scale } = this, [p, q] = [(x - this.width / 2) / scale, (this.height / 2 - y) / scale];
        return centre.map((value, k) => value + m[k] * p + m[3 + k] * q + m[6 + k] * depth);
    }

    /** The atom at a pixel, the nearest to the eye, or −1; `reach` in pixels is added to each. */
    atomAt(x, y, reach) {
        let [found, best] = [-1, -Infinity];
        this.points?.forEach(([px, py, depth], atom) => {
            const distance = Math.hypot(px - x, py - y), radius = this.radius(atom);
            const rank = depth - (distance > radius ? 1000 * (distance - radius) : 0);
            if (distance < radius + reach && rank > best) [found, best] = [atom, rank];
        });
        return found;
    }

    radius(atom) {
        return this.scale * this.structure.balls[this.structure.species[atom]];
    }

    shade(depth) { // 0: near, …: far
        return Math.round((DEPTHS - 1) * Math.min(1, Math.max(0, -depth / this.halfWidth - 0.1)));
    }

    tint(species, depth) {
        return mixed(this.structure.colours[species], this.ink.paper, (0.65 * this.shade(depth)) / (DEPTHS - 1));
    }

    paint({ places, forces, bonds }, withArrows, pull, colour) {
        const { pen } = this, n = places.length / 3, things = [];
        pen.setTransform(this.density, 0, 0, this.density, 0, 0);
        pen.clearRect(0, 0, this.width, this.height);
        pen.lineCap = "round";
        this.points = Array.from({ length: n }, (_, k) => this.seen(...places.subarray(3 * k, 3 * k + 3)));
        for (let k = 0; k < n; k++) {
            things.push([this.points[k][2], () => {
                this.ball(k);
                const tip = [0, 1, 2].map((x) => places[3 * k + x] + ARROW * forces[3 * k + x]);
                if (withArrows) this.arrow(this.points[k], this.seen(...tip), colour);
            }]);
        }
        for (const [i, j] of bonds) things.push([(this.points[i][2] + this.points[j][2]) / 2, () => this.bond(i, j)]);
        if (this.structure.boxed) things.push(...this.edges());
        things.sort((a, b) => a[0] - b[0]).forEach(([, draw]) => draw());
        if (pull) this.spring(pull);
        if (withArrows) this.legend(colour);
    }

    /** How long an arrow of 1 eV/Å is, in the lower left corner. */
    legend(colour) {
        const { pen } = this, [x, y] = [14, this.height - 14], length = ARROW * this.scale;
        this.arrow([x, y], [x + length, y], colour);
        [pen.font, pen.textBaseline, pen.textAlign] = ["12px system-ui, sans-serif", "middle", "left"];
        pen.fillStyle = this.ink.quiet;
        pen.fillText("force, 1 eV/Å", x + length + 8, y);
    }

    /** A shaded ball, painted once for each element and depth and then copied. */
    ball(atom) {
        const [x, y, depth] = this.points[atom], species = this.structure.species[atom];
        const key = `${species} ${this.shade(depth)}`;
        if (!this.sprites.has(key)) this.sprites.set(key, this.sprite(this.radius(atom), this.tint(species, depth)));
        const sprite = this.sprites.get(key), size = sprite.width / this.density;
        this.pen.drawImage(sprite, x - size / 2, y - size / 2, size, size);
    }

    sprite(radius, colour) {
        const canvas = document.createElement("canvas"), pen = canvas.getContext("2d"), margin = radius + 2;
        canvas.width = canvas.height = Math.ceil(2 * margin * this.density);
        const middle = canvas.width / 2, r = radius * this.density;
        const light = pen.createRadialGradient(middle - 0.32 * r, middle - 0.36 * r, 0.02 * r, middle, middle, r);
        light.addColorStop(0, css(mixed(colour, [255, 255, 255], 0.75)));
        light.addColorStop(0.18, css(mixed(colour, [255, 255, 255], 0.35)));
        light.addColorStop(0.55, css(colour));
        light.addColorStop(1, css(mixed(colour, [0, 0, 0], 0.42)));
        pen.beginPath();
        pen.arc(middle, middle, r, 0, 2 * Math.PI);
        pen.fillStyle = light;
        pen.fill();
        pen.lineWidth = Math.min(1.2 * this.density, r / 4);
        pen.strokeStyle = this.ink.outline;
        pen.stroke();
        return canvas;
    }

    line(from, to, width, colour) {
        const { pen } = this;
        pen.beginPath();
        pen.moveTo(from[0], from[1]);
        pen.lineTo(to[0], to[1]);
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.stroke();
    }

    /** A rod from the surface of the farther ball to the nearer one, half in the colour of each. */
    bond(i, j) {
        const [far, near] = this.points[i][2] < this.points[j][2] ? [i, j] : [j, i], { species } = this.structure;
        const a = this.points[far], b = this.points[near], radius = this.scale * STICK;
        const [dx, dy, dz] = [b[0] - a[0], b[1] - a[1], this.scale * (b[2] - a[2])];
        const flat = Math.hypot(dx, dy) || 1e-6, length = Math.hypot(flat, dz);
        const inset = (atom) => Math.sqrt(Math.max(0, this.radius(atom) ** 2 - radius ** 2)) / length;
        const [first, last] = [inset(far), 1 - inset(near)], middle = (first + last) / 2;
        if (first >= last) return;
        const at = (share) => [a[0] + dx * share, a[1] + dy * share], depth = (a[2] + b[2]) / 2;
        if (radius < 4) return this.stroke(at(first), at(middle), at(last), 2 * radius, [far, near], depth);
        const shape = { along: [dx / flat, dy / flat], radius, bulge: (radius * dz) / length };
        this.rod(at(first), at(middle), shape, this.tint(species[far], depth), true);
        this.rod(at(middle), at(last), shape, this.tint(species[near], depth), false);
    }

    /** A rod so thin that its shading would not be seen. */
    stroke(first, middle, last, width, atoms, depth) {
        const { species } = this.structure;
        const [from, to] = atoms.map((atom) => css(mixed(this.tint(species[atom], depth), [0, 0, 0], 0.15)));
        this.line(first, last, width + 1, this.ink.outline);
        this.line(first, middle, width - 0.5, from);
        this.line(middle, last, width - 0.5, to);
    }

    /** A shaded cylinder; where it begins, its round end is seen from the front. */
    rod(from, to, { along: [ux, uy], radius, bulge }, colour, isFirst) {
        const { pen } = this, [nx, ny] = [-uy * radius, ux * radius], angle = Math.atan2(uy, ux);
        const light = pen.createLinearGradient(from[0] - nx, from[1] - ny, from[0] + nx, from[1] + ny);
        const [edge, ridge] = [css(mixed(colour, [0, 0, 0], 0.42)), css(mixed(colour, [255, 255, 255], 0.3))];
        const [dark, bright] = ux > 0 ? [1, 0.36] : [0, 0.64]; // the light comes from above
        light.addColorStop(bright, ridge);
        light.addColorStop(dark, edge);
        light.addColorStop(1 - dark, css(mixed(colour, [0, 0, 0], 0.12)));
        pen.beginPath();
        pen.moveTo(to[0] - nx, to[1] - ny);
        pen.ellipse(from[0], from[1], bulge, radius, angle, 1.5 * Math.PI, 0.5 * Math.PI, true);
        pen.lineTo(to[0] + nx, to[1] + ny);
        pen.fillStyle = light;
        pen.fill();
        if (!isFirst) {
            pen.beginPath();
            for (const side of [1, -1]) {
                pen.moveTo(from[0] + side * nx, from[1] + side * ny);
                pen.lineTo(to[0] + side * nx, to[1] + side * ny);
            }
        }
        [pen.lineWidth, pen.strokeStyle] = [Math.min(1, radius / 3), this.ink.outline];
        pen.stroke();
    }

    arrow(from, to, colour) {
        const { pen } = this, [dx, dy] = [to[0] - from[0], to[1] - from[1]], length = Math.hypot(dx, dy);
        if (length < 3) return;
        const size = Math.min(9, 0.5 * length), [ux, uy] = [(size * dx) / length, (size * dy) / length];
        const neck = [to[0] - ux, to[1] - uy];
        this.line(from, neck, 4.5, css(this.ink.paper));
        this.line(from, neck, 2.5, colour);
        pen.beginPath();
        pen.moveTo(to[0], to[1]);
        pen.lineTo(neck[0] - 0.5 * uy, neck[1] + 0.5 * ux);
        pen.lineTo(neck[0] + 0.5 * uy, neck[1] - 0.5 * ux);
        pen.closePath();
        pen.fillStyle = colour;
        pen.fill();
    }

    edges() {
        const { cell } = this.structure, corner = (bits) => this.seen(...[0, 1, 2].map((x) =>
            [0, 1, 2].reduce((sum, k) => sum + (bits & (1 << k) ? cell[3 * k + x] : 0), 0)));
        const lines = [];
        for (let a = 0; a < 8; a++)
            for (const bit of [1, 2, 4]) {
                if (a & bit) continue;
                const [from, to] = [corner(a), corner(a | bit)];
                lines.push([(from[2] + to[2]) / 2, () => this.line(from, to, 1, this.ink.quiet)]);
            }
        return lines;
    }

    /** A zigzag from the atom to where it is pulled. */
    spring({ atom, place }) {
        const { pen } = this, from = this.points[atom], to = this.seen(...place);
        const [dx, dy] = [to[0] - from[0], to[1] - from[1]], length = Math.hypot(dx, dy) || 1, coils = 12;
        pen.beginPath();
        pen.moveTo(from[0], from[1]);
        for (let k = 1; k < coils; k++) {
            const along = k / coils, aside = ((k % 2 ? 5 : -5) * Math.min(1, length / 40)) / length;
            pen.lineTo(from[0] + along * dx - aside * dy, from[1] + along * dy + aside * dx);
        }
        pen.lineTo(to[0], to[1]);
        pen.lineJoin = "round";
        for (const [width, colour] of [[5, css(this.ink.paper)], [2, this.ink.spring]]) {
            [pen.lineWidth, pen.strokeStyle] = [width, colour];
            pen.stroke();
        }
        pen.beginPath();
        pen.arc(to[0], to[1], 6, 0, 2 * Math.PI);
        pen.fillStyle = this.ink.spring;
        pen.fill();
    }
}

// ------------------------------------------------------------------ charts

/** Round numbers, about `count` of them, from low to high. */
function ticks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough * 0.999);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), round = [];
    for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++)
        round.push([k * step, (k * step).toFixed(digits).replace("-", "−")]);
    return round;
}

/** A curve over time, each stretch in the colour of the potential that drove it; a dashed line at `line`. */
function drawChart(canvas, rows, key, colours, ink, { line, floor }) {
    const density = Math.min(2, devicePixelRatio || 1), [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !rows.length) return;
    [canvas.width, canvas.height] = [Math.round(width * density), Math.round(height * density)];
    const pen = canvas.getContext("2d"), [left, right, top, bottom] = [46, width - 4, 8, height - 22];
    const values = rows.map((row) => row[key]).filter(Number.isFinite);
    let low = Math.min(...values, line ?? Infinity), high = Math.max(...values, line ?? -Infinity);
    const space = Math.max(0.08 * (high - low), 1e-3 * Math.abs(high), 0.005);
    [low, high] = [floor ?? low - space, high + space];
    const begin = rows[0].time, end = Math.max(rows.at(-1).time, begin + 20), unit = end >= 2000 ? 1000 : 1;
    const x = (time) => left + ((time - begin) / (end - begin)) * (right - left);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    pen.scale(density, density);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = ink.quiet;
    const rule = (height, colour, dash) => {
        pen.setLineDash(dash);
        pen.strokeStyle = colour;
        pen.beginPath();
        pen.moveTo(left, height);
        pen.lineTo(right, height);
        pen.stroke();
        pen.setLineDash([]);
    };
    [pen.textAlign, pen.textBaseline] = ["right", "middle"];
    for (const [value, text] of ticks(low, high, 3.5)) {
        rule(Math.round(y(value)) + 0.5, ink.line, []);
        pen.fillText(text, left - 6, y(value));
    }
    [pen.textAlign, pen.textBaseline] = ["center", "top"];
    for (const [value, text] of ticks(begin / unit, end / unit, 4))
        if (x(value * unit) < right - 48) pen.fillText(text, x(value * unit), bottom + 6);
    pen.textAlign = "right";
    pen.fillText(unit === 1 ? "t / fs" : "t / ps", right, bottom + 6);
    if (line !== null) rule(y(line), ink.quiet, [5, 4]);
    [pen.lineWidth, pen.lineJoin] = [1.6, "round"];
    for (let first = 0; first < rows.length - 1; ) {
        const { potential } = rows[first + 1];
        let k = first + 1;
        pen.beginPath();
        pen.moveTo(x(rows[first].time), y(rows[first][key]));
        for (; k < rows.length && rows[k].potential === potential; k++) pen.lineTo(x(rows[k].time), y(rows[k][key]));
        pen.strokeStyle = colours[potential];
        pen.stroke();
        first = k - 1;
    }
}

// ------------------------------------------------------------------ hands: mouse, finger, keyboard

class Hands {
    constructor(live) {
        this.live = live;
        this.canvas = live.part(".picture");
        this.fingers = new Map(); // pointers that are down: where they are
        this.grip = null; // the atom that is held, its depth, and where the pointer is
        const on = (event, action, options) => this.canvas.addEventListener(event, action, options);
        on("pointerdown", (event) => this.down(event));
        on("pointermove", (event) => this.move(event));
        for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) on(name, (event) => this.up(event));
        on("touchstart", (event) => { // a finger on an atom pulls it, and does not scroll the page
            if (event.touches.length > 1 || this.atomUnder(event.touches[0], 14) >= 0) event.preventDefault();
        }, { passive: false });
        on("wheel", (event) => { // zooms once the picture has been clicked; else the page scrolls
            if (!event.ctrlKey && live.host.shadowRoot.activeElement !== this.canvas) return;
            event.preventDefault();
            this.live.camera.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 300));
            this.live.stale = true;
        }, { passive: false });
        on("keydown", (event) => this.key(event));
    }

    at({ clientX, clientY }) {
        const { left, top } = this.canvas.getBoundingClientRect();
        return [clientX - left, clientY - top];
    }

    atomUnder(pointer, reach) {
        return this.live.camera.atomAt(...this.at(pointer), reach);
    }

    /** {atom, place in Å, spring}: what the physics needs, or null. */
    pull() {
        if (!this.grip) return null;
        const { atom, depth, x, y } = this.grip;
        return { atom, place: this.live.camera.place(x, y, depth), spring: SPRING };
    }

    down(event) {
        const [x, y] = this.at(event), atom = this.atomUnder(event, event.pointerType === "mouse" ? 4 : 14);
        this.canvas.setPointerCapture?.(event.pointerId);
        this.fingers.set(event.pointerId, [x, y]);
        if (this.fingers.size === 1 && atom >= 0) this.grip = { atom, depth: this.live.camera.points[atom][2], x, y };
        if (this.fingers.size > 1) this.grip = null;
        this.canvas.classList.toggle("pulling", Boolean(this.grip));
        this.live.refresh();
    }

    move(event) {
        const before = this.fingers.get(event.pointerId), [x, y] = this.at(event);
        if (!before) {
            this.canvas.classList.toggle("over", this.atomUnder(event, 4) >= 0);
            return;
        }
        this.fingers.set(event.pointerId, [x, y]);
        const { camera } = this.live;
        if (this.grip) [this.grip.x, this.grip.y] = [x, y];
        else if (this.fingers.size === 1) camera.turnBy((x - before[0]) / 110, (y - before[1]) / 110);
        else {
            const [ox, oy] = [...this.fingers].find(([id]) => id !== event.pointerId)[1];
            camera.zoomBy(Math.hypot(x - ox, y - oy) / Math.max(1, Math.hypot(before[0] - ox, before[1] - oy)));
        }
        this.live.stale = true;
    }

    up(event) {
        if (!this.fingers.delete(event.pointerId)) return;
        this.grip = null;
        this.canvas.classList.remove("pulling");
        this.live.stale = true;
    }

    key(event) {
        const { camera } = this.live, angle = 0.12;
        const actions = {
            ArrowLeft: () => camera.turnBy(-angle, 0), ArrowRight: () => camera.turnBy(angle, 0),
            ArrowUp: () => camera.turnBy(0, -angle), ArrowDown: () => camera.turnBy(0, angle),
            "+": () => camera.zoomBy(1.15), "=": () => camera.zoomBy(1.15), "-": () => camera.zoomBy(1 / 1.15),
            " ": () => this.live.toggle(),
        };
        const action = !event.ctrlKey && !event.metaKey && !event.altKey && actions[event.key];
        if (!action) return;
        event.preventDefault();
        event.stopPropagation();
        action();
        this.live.stale = true;
    }
}
