// Hands on the picture of the live box: mouse, fingers, keys.

const SPRING = 2; // eV/Å², of the spring by which an atom is pulled

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
