// Molecules that move in the page: MD with a trained potential, to be watched, heated and pulled, without a kernel.
//
// With theme.js, camera.js, charts.js, hands.js and physics.js before it, one ES module for notebooks (anywidget calls
// `render`) and for pages (`show`).  `widget.py` makes the scene: the structure, the potentials' weights, the engine
// (`engine.c`, compiled) and `live.css`.  Nothing else is ever loaded.
//
//   Live (controls, charts, messages) ── "next" with the settings ──▶ physics (a worker; the engine inside)
//                                     ◀── a picture: where the atoms are, bonds, forces, energies, g(r) ──
//
// Units are the library's: eV, Å, K, fs.

const FORMAT = 2; // of the scene, as in widget.py
const KEPT = 480; // pictures that the charts remember
const PACES = { slow: 30, normal: 600, fast: 1e7 }; // fs that pass in a second, at most

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
    <label class="row labels"><span>DFT labels</span><input type="range"><output></output></label>
    <p class="about" aria-live="polite"></p>
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
    <figure class="rdf"><figcaption><span></span><output></output></figcaption>
      <canvas class="chart tall" role="img"></canvas></figure>
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
        this.charts = [...root.querySelectorAll(".chart")]; // of temperature, energy, g(r)
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
        this.closers.push(followTheme((theme) => this.use(theme)));
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
        const [choice, labels, heat, bath, pace, arrows] = ["potential", "labels", "heat", "bath", "pace", "check"]
            .map((name) => this.part(`.${name} :is(select, input)`));
        const { names, labels: counts } = scene, many = counts?.length ?? 1; // potentials: by name, then by labels
        choice.replaceChildren(...names.map((name, k) => new Option(name, k)));
        choice.value = Math.floor(settings.potential / many);
        this.part(".potential").hidden = names.length < 2;
        this.part(".labels").hidden = !counts;
        Object.assign(labels, { min: 0, max: many - 1, step: 1, value: settings.potential % many });
        const choose = () => {
            settings.potential = many * Number(choice.value) + Number(labels.value);
            this.say(null);
        };
        const { temperature } = settings;
        Object.assign(heat, { min: 10, max: Math.max(1500, temperature), step: 10, value: temperature });
        bath.value = settings.thermostat ? "1" : "";
        pace.value = "normal";
        arrows.checked = scene.settings.arrows;
        this.part(".picture").setAttribute("aria-label", `${scene.alt}. Arrow keys turn it, space pauses.`);
        const on = (part, event, action) => part.addEventListener(event, () => { action(); this.refresh(); });
        on(choice, "change", choose);
        on(labels, "input", choose);
        on(heat, "input", () => { settings.temperature = Number(heat.value); });
        on(bath, "change", () => { settings.thermostat = Boolean(bath.value); });
        on(pace, "change", () => { this.pace = PACES[pace.value]; });
        on(arrows, "change", () => { this.scene.settings.arrows = arrows.checked; });
        on(this.part(".play"), "click", () => this.toggle());
        on(this.part(".reset"), "click", () => this.reset());
        this.part(".rdf").hidden = !scene.rdf;
        this.part(".rdf span").textContent = `g(r) of ${scene.rdf?.symbol}–${scene.rdf?.symbol} since the last change`;
        const compared = scene.rdf?.curves.map(({ name }) => name) ?? [];
        this.charts[2].setAttribute("aria-label", ["g(r)", ...compared].join(", "));
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
        const { error, note } = this.scene.potentials[this.settings.potential], { labels } = this.scene;
        const count = labels?.[this.settings.potential % labels.length].toLocaleString("en") ?? "";
        this.part(".labels output").textContent = count;
        this.part(".labels input").setAttribute("aria-valuetext", count);
        const said = error === null ? "" : `Error of its forces on test molecules: ${error.toFixed(0)} meV/Å. `;
        this.part(".about").textContent = said + (note ?? "");
        this.part(".about").hidden = !(said || note);
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
        const colours = this.scene.potentials.map((_, k) => this.colour(k)), { settings, ink, picture } = this;
        const asked = settings.thermostat ? settings.temperature : null;
        const rows = this.history.map(({ total, ...row }) => ({ ...row, gained: total - zero }));
        drawChart(this.charts[0], rows, "temperature", colours, ink, { line: asked, floor: 0 });
        drawChart(this.charts[1], rows, "gained", colours, ink, { line: 0, floor: null });
        if (!picture.rdf) return;
        this.readings[2].textContent = `${picture.rdf.time.toFixed(0)} fs`;
        drawRdf(this.charts[2], this.scene.rdf, picture.rdf.g, this.colour(), ink);
    }

    /** The colour of a potential, the same as in the library's figures; black is ink. */
    colour(index = this.picture.potential) {
        const { colour } = this.scene.potentials[index];
        if (colour === "#000000") return this.ink.text;
        const parts = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
        return css(mixed(parts, [255, 255, 255], this.ink.lighter));
    }

    // ---------------- where the panel stands

    use(theme) {
        this.host.dataset.theme = theme;
        this.ink = INKS[theme];
        this.camera.use(this.ink);
        this.stale = true;
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
