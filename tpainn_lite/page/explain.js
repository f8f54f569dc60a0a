// What all explanations share: a panel, its light and dark, SVG, numbers, and hands (mouse, finger, keys).
//
// With that of theme.js this text stands before that of ruler.js, vectors.js, labelmap.js or knobs.js; each of them defines
// `build(panel, data)`, which fills the panel and gives back what draws it.  Nothing else is ever loaded.

const FORMAT = 1; // of the scene, as in explain.py

export default {
    render({ model, el }) { // a notebook, through anywidget
        const panel = show(el, model.get("scene"));
        return () => panel.close();
    },
};

/** Put the scene into an element of a page, in the place of the still picture. */
export function show(element, scene) {
    return new Panel(element, scene);
}

class Panel {
    constructor(element, scene) {
        this.host = document.createElement("div");
        this.host.className = "tpainn-explain-host";
        this.host.panel = this; // for those who want to look inside
        this.host.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the keys for itself
        this.root = this.host.attachShadow({ mode: "open" });
        this.root.innerHTML = `<style>${scene?.style ?? ""}</style><section class="panel"></section>`;
        this.part("section").setAttribute("aria-label", scene?.alt ?? "");
        this.closers = [followTheme((theme) => { this.host.dataset.theme = this.theme = theme; this.refresh(); })];
        element.replaceChildren(this.host);
        try {
            if (scene?.format !== FORMAT) throw new Error("What this box should show is damaged, or of another version of tpainn_lite.");
            this.draw = build(this, scene.data);
            const sizes = new ResizeObserver(() => this.refresh());
            sizes.observe(this.host);
            this.closers.push(() => sizes.disconnect());
            this.draw();
        } catch (error) {
            this.part("section").innerHTML = '<p class="message" role="status"></p>';
            this.part(".message").textContent = error.message;
        }
    }

    part(selector) {
        return this.root.querySelector(selector);
    }

    fill(html) {
        this.part("section").innerHTML = html;
    }

    /** Draw once before the next picture of the screen, however often it is asked for. */
    refresh() {
        this.request ??= requestAnimationFrame(() => {
            this.request = null;
            if (this.host.isConnected) this.draw?.();
        });
    }

    /** A list to choose from: [[value, words]]; the choice goes into `state[name]`. */
    choice(selector, options, state, name) {
        const select = this.part(selector);
        select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
        select.value = state[name];
        select.onchange = () => { state[name] = select.value; this.refresh(); };
    }

    /** Radio buttons of a group: the one that is checked goes into `state[name]`. */
    radios(name, state) {
        for (const radio of this.root.querySelectorAll(`input[name="${name}"]`)) {
            radio.checked = radio.value === String(state[name]);
            radio.onchange = () => { state[name] = radio.value; this.refresh(); };
        }
    }

    /** A slider: its number goes into `state[name]`. */
    slider(selector, range, state, name) {
        const input = this.part(selector);
        Object.assign(input, range, { value: state[name] });
        input.oninput = () => { state[name] = Number(input.value); this.refresh(); };
    }

    close() {
        this.closers.forEach((closer) => closer());
        cancelAnimationFrame(this.request);
    }
}

/** An SVG element; text and other elements as children. */
function svg(name, attributes = {}, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
}

/** While a pointer is down on `node`: `move(x, y)` in its pixels; `begin(x, y)` may refuse with false. */
function onDrag(node, move, begin = () => true, end = () => {}) {
    const at = ({ clientX, clientY }) => {
        const { left, top } = node.getBoundingClientRect();
        return [clientX - left, clientY - top];
    };
    let holds = false;
    node.addEventListener("pointerdown", (event) => {
        if (event.button || begin(...at(event), event) === false) return;
        holds = true;
        node.setPointerCapture?.(event.pointerId);
        move(...at(event));
    });
    node.addEventListener("pointermove", (event) => { if (holds) move(...at(event)); });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
        node.addEventListener(name, () => { if (holds) end(); holds = false; });
}

/** {key: action}, without the page or the notebook hearing of it. */
function onKeys(node, actions) {
    node.addEventListener("keydown", (event) => {
        const action = !event.ctrlKey && !event.metaKey && !event.altKey && actions[event.key];
        if (!action) return;
        event.preventDefault();
        event.stopPropagation();
        action(event.shiftKey ? 5 : 1);
    });
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const linear = ([a, b], [p, q]) => Object.assign((x) => p + ((x - a) / (b - a)) * (q - p), { inverse: (y) => a + ((y - p) / (q - p)) * (b - a) });
const logarithmic = ([a, b], ends) => {
    const scale = linear([Math.log(a), Math.log(b)], ends);
    return Object.assign((x) => scale(Math.log(x)), { inverse: (y) => Math.exp(scale.inverse(y)) });
};

/** As text with this many digits that count: 1,200; 13; 1.1. */
const number = (value, digits = 2) => value.toLocaleString("en", { maximumSignificantDigits: digits });

/** 1, 2, 5, 10 … between two numbers, so few that `room` of them fit. */
function decades(low, high, room) {
    const ticks = [];
    for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++)
        for (const step of [1, 2, 5]) ticks.push({ value: step * 10 ** k, step });
    const inside = ticks.filter(({ value }) => value >= low * 0.999 && value <= high * 1.001);
    return (inside.length > room ? inside.filter(({ step }) => step === 1) : inside).map(({ value }) => value);
}
