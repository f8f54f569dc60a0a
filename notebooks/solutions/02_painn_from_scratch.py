"""Solutions of 02_painn_from_scratch: a block `# %% exercise` each."""

# %% 02.1
n_pairs = 9 * 8  # each of the nine atoms receives from the eight others

# %% 02.2
arrows = along_r[:, None] * dir_ij[:, :, None]


# %% 02.3
class MyMessage(nn.Module):
    def __init__(self, n_features, n_rbf):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(n_features, n_features), nn.SiLU(), nn.Linear(n_features, 3 * n_features))
        self.W = nn.Linear(n_rbf + 1, 3 * n_features, bias=False)

    def forward(self, s, v, basis, dir_ij, idx_i, idx_j):
        to_s, along_r, along_v = (self.phi(s)[idx_j] * self.W(basis)).chunk(3, dim=-1)  # 3 × (E, F)
        arrows = along_r[:, None] * dir_ij[:, :, None] + along_v[:, None] * v[idx_j]  # (E, 3, F)
        return s.index_add(0, idx_i, to_s), v.index_add(0, idx_i, arrows)  # (N, F), (N, 3, F)


# %% 02.4
allowed = ["B", "D"]  # squared lengths, and a dot product


# %% 02.5
class MyUpdate(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.VU = nn.Linear(n_features, 2 * n_features, bias=False)
        self.a = nn.Sequential(nn.Linear(2 * n_features, n_features), nn.SiLU(), nn.Linear(n_features, 3 * n_features))

    def forward(self, s, v):
        Vv, Uv = self.VU(v).chunk(2, dim=-1)  # 2 × (N, 3, F)
        length = torch.sqrt((Vv**2).sum(dim=1) + 1e-8)  # (N, F)
        a_ss, a_vv, a_sv = self.a(torch.cat([s, length], dim=-1)).chunk(3, dim=-1)  # 3 × (N, F)
        return s + a_ss + a_sv * (Uv * Vv).sum(dim=1), v + a_vv[:, None] * Uv  # (N, F), (N, 3, F)


# %% 02.6
class MyPaiNN(nn.Module):
    def __init__(self, n_features, n_interactions, n_rbf, cutoff):
        super().__init__()
        self.n_rbf, self.cutoff = n_rbf, cutoff
        self.embedding = nn.Embedding(101, n_features)
        self.interactions = nn.ModuleList(MyMessage(n_features, n_rbf) for _ in range(n_interactions))
        self.mixings = nn.ModuleList(MyUpdate(n_features) for _ in range(n_interactions))
        self.readout = nn.Sequential(nn.Linear(n_features, n_features // 2), nn.SiLU(), nn.Linear(n_features // 2, 1))

    def forward(self, atomic_numbers, r_ij, idx_i, idx_j):
        d = r_ij.norm(dim=1)  # (E,)
        fade = tp.painn.cosine_cutoff(d, self.cutoff)[:, None]  # (E, 1)
        basis = torch.cat([radial(d, self.n_rbf, self.cutoff) * fade, fade], dim=1)  # (E, n_rbf + 1)
        s = self.embedding(atomic_numbers)  # (N, F)
        v = s.new_zeros(len(s), 3, s.shape[1])  # (N, 3, F)
        for interaction, mixing in zip(self.interactions, self.mixings, strict=True):
            s, v = interaction(s, v, basis, r_ij / d[:, None], idx_i, idx_j)
            s, v = mixing(s, v)
        return self.readout(s)[:, 0]  # (N,)


# %% 02.7
def my_torque(positions, forces):
    return torch.linalg.cross(positions, forces).sum(dim=0)


print(my_torque(x.detach(), forces))  # zero, for the energy does not change when the molecule turns
