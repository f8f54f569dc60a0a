// The physics of the live box, in a worker with the engine inside: steps of MD, the guard, and what a picture needs.

/** All that a worker needs, in one function, because its text is what the worker runs. */
function physics(port) {
    const KB = 8.617330337217213e-5; // eV/K
    const BONDED = 1.25, BROKEN = 1.6, TOO_CLOSE = 0.5, TOO_HOT = 10; // as in the library: geometry.py, md.py
    const BUDGET = 13; // ms from one picture to the next
    const KEPT_ENGINES = 4; // each has some ten megabytes
    let scene, module, engines, engine, rdf, bonds, time, stopped, resets;

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

    /** The engine of one potential; it begins where the others begin.  The last few are kept. */
    function engineOf(index) {
        const found = engines.get(index) ?? new Engine(scene.potentials[index]);
        engines.delete(index);
        engines.set(index, found);
        if (engines.size > KEPT_ENGINES) engines.delete(engines.keys().next().value);
        return found;
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

    // ---------------- what is measured

    /** g(r) of the atoms of one element, over all pictures since something that drives them was changed. */
    class Rdf {
        constructor({ species, r_max: rMax, n_bins: bins }) {
            const { species: all, cell } = scene.structure, [a, b, c] = [0, 3, 6].map((k) => cell.slice(k, k + 3));
            this.atoms = [...all.keys()].filter((k) => all[k] === species);
            this.volume = Math.abs(a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
                + a[2] * (b[0] * c[1] - b[1] * c[0]));
            Object.assign(this, { rMax, bins });
        }
        /** Count the pairs of one picture; begin anew where the settings are others than before. */
        count({ potential, temperature, thermostat, resets: begun, pull }) {
            const driven = [potential, temperature, thermostat, begun, pull?.atom].join();
            if (driven !== this.driven)
                Object.assign(this, { driven, begun: time, frames: 0, pairs: new Float64Array(this.bins) });
            const { atoms, pairs, rMax, bins } = this, { cell, inverse } = scene.structure, r = [0, 0, 0];
            const positions = engine.doubles("positions");
            for (let a = 0; a < atoms.length; a++)
                for (let b = 0; b < a; b++) {
                    for (let x = 0; x < 3; x++) r[x] = positions[3 * atoms[a] + x] - positions[3 * atoms[b] + x];
                    const [p, q, s] = [0, 1, 2] // cells between them, to be taken back
                        .map((k) => Math.round(r[0] * inverse[k] + r[1] * inverse[3 + k] + r[2] * inverse[6 + k]));
                    for (let x = 0; x < 3; x++) r[x] -= p * cell[x] + q * cell[3 + x] + s * cell[6 + x];
                    const bin = Math.floor((Math.hypot(...r) / rMax) * bins);
                    if (bin < bins) pairs[bin]++;
                }
            this.frames++;
        }
        /** {g, of the pictures so far; time in fs that they span}. */
        found() {
            if (!this.frames) return null;
            const { atoms, volume, rMax, bins, frames } = this, width = rMax / bins;
            const even = (frames * atoms.length * (atoms.length - 1)) / (2 * volume); // pairs in an Å³ of a gas
            const shell = (k) => (4 / 3) * Math.PI * width ** 3 * ((k + 1) ** 3 - k ** 3);
            const g = Float32Array.from(this.pairs, (count, k) => count / (even * shell(k)));
            return { g, time: time - this.begun };
        }
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
            energy: engine.energy - engine.energyAtStart, rdf: rdf?.found() ?? null,
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
        rdf?.count(settings);
        return picture(settings, steps, performance.now() - started);
    }

    async function answer({ kind, scene: given, settings }) {
        if (kind === "start") {
            [scene, engines] = [given, new Map()];
            rdf = scene.rdf && new Rdf(scene.rdf);
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
