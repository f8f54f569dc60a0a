// The charts of the live box: curves over time, and g(r).

/** Round numbers, about `count` of them, from low to high. */
function ticks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough * 0.999);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), round = [];
    for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++)
        round.push([k * step, (k * step).toFixed(digits).replace("-", "−")]);
    return round;
}

/** A canvas wiped clean: {pen, left, right, top, bottom of the plot}; null where it is not seen. */
function blank(canvas, ink) {
    const density = Math.min(2, devicePixelRatio || 1), [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return null;
    [canvas.width, canvas.height] = [Math.round(width * density), Math.round(height * density)];
    const pen = canvas.getContext("2d");
    pen.scale(density, density);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = ink.quiet;
    return { pen, left: 46, right: width - 4, top: 8, bottom: height - 22 };
}

/** A level line across the plot, and its number left of it. */
function rule({ pen, left, right }, height, colour, { dash = [], text } = {}) {
    pen.setLineDash(dash);
    [pen.lineWidth, pen.strokeStyle] = [1, colour];
    pen.beginPath();
    pen.moveTo(left, height);
    pen.lineTo(right, height);
    pen.stroke();
    pen.setLineDash([]);
    [pen.textAlign, pen.textBaseline] = ["right", "middle"];
    if (text) pen.fillText(text, left - 6, height);
}

/** A curve through points [[x, y]], in pixels. */
function trace(pen, points, colour, dash = []) {
    pen.setLineDash(dash);
    [pen.lineWidth, pen.lineJoin, pen.strokeStyle] = [1.6, "round", colour];
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
    pen.setLineDash([]);
}

/** A curve over time, each stretch in the colour of the potential that drove it; a dashed line at `line`. */
function drawChart(canvas, rows, key, colours, ink, { line, floor }) {
    const plot = rows.length ? blank(canvas, ink) : null;
    if (!plot) return;
    const { pen, left, right, top, bottom } = plot;
    const values = rows.map((row) => row[key]).filter(Number.isFinite);
    let low = Math.min(...values, line ?? Infinity), high = Math.max(...values, line ?? -Infinity);
    const space = Math.max(0.08 * (high - low), 1e-3 * Math.abs(high), 0.005);
    [low, high] = [floor ?? low - space, high + space];
    const begin = rows[0].time, end = Math.max(rows.at(-1).time, begin + 20), unit = end >= 2000 ? 1000 : 1;
    const x = (time) => left + ((time - begin) / (end - begin)) * (right - left);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    for (const [value, text] of ticks(low, high, 3.5)) rule(plot, Math.round(y(value)) + 0.5, ink.line, { text });
    [pen.textAlign, pen.textBaseline] = ["center", "top"];
    for (const [value, text] of ticks(begin / unit, end / unit, 4))
        if (x(value * unit) < right - 48) pen.fillText(text, x(value * unit), bottom + 6);
    pen.textAlign = "right";
    pen.fillText(unit === 1 ? "t / fs" : "t / ps", right, bottom + 6);
    if (line !== null) rule(plot, y(line), ink.quiet, { dash: [5, 4] });
    for (let first = 0, last; first < rows.length - 1; first = last) {
        const { potential } = rows[first + 1];
        for (last = first + 1; rows[last + 1]?.potential === potential;) last++;
        trace(pen, rows.slice(first, last + 1).map((row) => [x(row.time), y(row[key])]), colours[potential]);
    }
}

/** g(r) in the colour of the potential, over the `curves` that it is compared with. */
function drawRdf(canvas, { r_max: rMax, curves }, g, colour, ink) {
    const plot = blank(canvas, ink);
    if (!plot) return;
    const { pen, left, right, top, bottom } = plot, begin = 2; // Å, below which nothing is
    const most = Math.min(8, 1.1 * Math.max(3, ...g, ...curves.flatMap((curve) => curve.g)));
    const x = (r) => left + ((r - begin) / (rMax - begin)) * (right - left);
    const y = (value) => bottom - (value / most) * (bottom - top);
    const points = (r, values) => r.map((place, k) => [x(place), y(Math.min(most, values[k]))])
        .filter(([place]) => place >= left && place <= right);
    for (const [value, text] of ticks(0, most, 4)) rule(plot, Math.round(y(value)) + 0.5, ink.line, { text });
    [pen.textAlign, pen.textBaseline] = ["center", "top"];
    for (const [value, text] of ticks(begin, rMax, 4))
        if (x(value) < right - 32) pen.fillText(text, x(value), bottom + 6);
    pen.textAlign = "right";
    pen.fillText("r / Å", right, bottom + 6);
    const dashes = curves.map((_, k) => [[6, 4], [2, 3], [10, 3, 2, 3]][k % 3]);
    curves.forEach((curve, k) => trace(pen, points(curve.r, curve.g), ink.quiet, dashes[k]));
    trace(pen, points(Array.from(g, (_, k) => ((k + 0.5) * rMax) / g.length), g), colour);
    const legend = [["this box", colour, []], ...curves.map(({ name }, k) => [name, ink.quiet, dashes[k]])];
    pen.textBaseline = "middle";
    legend.forEach(([name, stroke, dash], k) => {
        trace(pen, [[right - 26, top + 6 + 15 * k], [right - 4, top + 6 + 15 * k]], stroke, dash);
        pen.fillText(name, right - 32, top + 6 + 15 * k);
    });
}
