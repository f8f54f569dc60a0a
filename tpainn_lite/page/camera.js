// The picture of the live box: where the eye is, and atoms, bonds, arrows and the cell on a canvas.

const ARROW = 0.6; // Å of an arrow for 1 eV/Å of force
const STICK = 0.13; // Å, radius of a bond
const INKS = { // of the pictures; those of the panel are in live.css
    light: { paper: [255, 255, 255], outline: "rgb(25 28 32 / 80%)", text: "#1c1f22", quiet: "#5b636b", line: "#dfe3e7",
        lighter: 0, spring: "#8a4b00" },
    dark: { paper: [27, 31, 35], outline: "rgb(0 0 0 / 75%)", text: "#e4e6e8", quiet: "#98a1a9", line: "#3a4148",
        lighter: 0.3, spring: "#f0b35a" },
};

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
