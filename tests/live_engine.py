"""The engine of the live page in a WebAssembly runtime for Python, for the tests."""

from pathlib import Path

import numpy as np
import wasmtime
from ase.data import covalent_radii

from tpainn_lite.page.weights import weight_bytes

WASM = Path(__file__).parents[1] / "tpainn_lite" / "page" / "engine.wasm"
SHAPES = {"positions": 3, "velocities": 3, "forces": 3, "masses": 1, "radii": 1}
_COMPILED = {}


class Engine:
    """One structure and one network in an instance of ``engine.wasm``; its functions are attributes.

    ``positions``, ``velocities``, ``forces`` and so on are copies; ``put`` writes one.
    """

    def __init__(self, atoms, potential, rounded=True, wasm=WASM):
        if wasm not in _COMPILED:
            engine = wasmtime.Engine()
            _COMPILED[wasm] = engine, wasmtime.Module.from_file(engine, str(wasm))
        engine, module = _COMPILED[wasm]
        self.store, self.n = wasmtime.Store(engine), len(atoms)
        self.functions = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory = self.functions["memory"]
        elements = sorted(set(atoms.numbers.tolist()))
        self.call("set_structure", len(atoms))
        self.put("positions", atoms.positions)
        self.put("velocities", atoms.get_velocities())
        self.put("masses", atoms.get_masses())
        self.put("radii", covalent_radii[atoms.numbers])
        self.put("cell", np.asarray(atoms.cell))
        self.put("pbc", atoms.pbc.astype(np.int32))
        self.put("species", np.searchsorted(elements, atoms.numbers).astype(np.int32))
        painn, weights = potential.painn, weight_bytes(potential, elements, rounded)
        size = painn.n_features, painn.n_interactions, painn.n_rbf
        assert self.call("weight_bytes", *size, len(elements), int(rounded)) == len(weights)
        at = self.call("reserve", len(weights))
        self.memory.write(self.store, weights, at)
        self.call("set_network", *size, painn.cutoff, potential.scale.item(), len(elements), at, int(rounded))

    def call(self, name, *arguments):
        return self.functions[name](self.store, *arguments)

    def put(self, name, values):
        self.memory.write(self.store, np.ascontiguousarray(values).tobytes(), self.call(name))

    def __getattr__(self, name):
        width = SHAPES[name]
        at = self.call(name)
        array = np.frombuffer(bytes(self.memory.read(self.store, at, at + 8 * self.n * width)))
        return array.reshape(self.n, width) if width > 1 else array

    def evaluate(self):
        """(eV without reference energies, forces (N, 3) in eV/Å)."""
        return self.call("evaluate"), self.forces
