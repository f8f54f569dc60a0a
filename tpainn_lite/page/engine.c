// PaiNN and molecular dynamics in a web page: energy and forces of a trained network, and atoms that move by them.
//
// To be read beside `model/painn.py` (what is computed) and `model/compiled.py` (the same backward pass written out by
// hand, the same tables of filters): blocks, names and order are theirs.  `build.py` compiles this file to
// `engine.wasm`; it uses no library and imports nothing.  One instance holds one network and one structure.
//
// Units are ASE's: eV, Å, amu; time in fs at the door.  Features come four at a time (f4, one SIMD register): the
// width F is padded with zeros to a multiple of 8, and rows of atoms to a multiple of 4, which changes no result.

typedef float f4 __attribute__((vector_size(16)));
typedef int i4 __attribute__((vector_size(16)));
#define EXPORT __attribute__((visibility("default")))

enum { INTERVALS = 1024 };         // of the tables of the filters, at least
static const float EPSILON = 1e-8f;  // as in painn.py: keeps the slope of a vector's length finite
static const double PI = 3.141592653589793, SKIN = 0.5;  // Å
static const double FS = 0.09822694788464063, KB = 8.617330337217213e-05;  // ASE's units of time; eV/K

// --- memory: it is taken, and never given back ---

extern unsigned char __heap_base;
static unsigned long top;

EXPORT void *reserve(unsigned long bytes)  // zeros, at a multiple of 16; the instance ends where there is no more
{
    if (!top) top = ((unsigned long)&__heap_base + 15) & ~15ul;
    unsigned long start = top, pages = __builtin_wasm_memory_size(0);
    top += (bytes + 15) & ~15ul;
    if (top < start) __builtin_trap();
    if (top > pages << 16 && __builtin_wasm_memory_grow(0, ((top - (pages << 16)) >> 16) + 1) == ~0ul) __builtin_trap();
    return (void *)start;
}

static f4 *features(int rows, int width) { return reserve(4ul * ((rows + 3) & ~3) * width); }

void *memcpy(void *to, const void *from, unsigned long n)  // the compiler may ask for these two
{
    for (unsigned long k = 0; k < n; k++) ((char *)to)[k] = ((const char *)from)[k];
    return to;
}

void *memset(void *to, int value, unsigned long n)
{
    for (unsigned long k = 0; k < n; k++) ((char *)to)[k] = value;
    return to;
}

// --- functions of numbers ---

static double sine(double x)
{
    double turns = x / (2 * PI);
    x -= 2 * PI * (double)(long long)(turns + (turns < 0 ? -0.5 : 0.5));
    double sum = x, term = x;
    for (int k = 1; k < 14; k++) sum += term *= -x * x / (2 * k * (2 * k + 1));
    return sum;
}

static double logarithm(double x)  // of a normal number above 0
{
    union { double number; long long bits; } u = {x};
    int exponent = (int)(u.bits >> 52) - 1023;
    u.bits = (u.bits & 0xfffffffffffffll) | 0x3ff0000000000000ll;
    double t = (u.number - 1) / (u.number + 1), sum = 0, power = t;
    for (int k = 1; k < 40; k += 2, power *= t * t) sum += power / k;
    return 2 * sum + exponent * 0.6931471805599453;
}

static f4 exponential(f4 x)  // Cephes' expf: right to 1e-7 of itself
{
    i4 low = x < -87.0f, high = x > 87.0f;
    x = (f4)(((i4)x & ~low & ~high) | ((i4)((f4){} - 87.0f) & low) | ((i4)((f4){} + 87.0f) & high));
    f4 turns = __builtin_elementwise_floor(x * 1.44269504f + 0.5f);
    f4 r = x - turns * 0.693359375f + turns * 2.12194440e-4f;
    f4 p = ((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f;
    p = ((p * r + 1.6666665459e-1f) * r + 5.0000001201e-1f) * r * r + r + 1.0f;
    return p * (f4)((__builtin_convertvector(turns, i4) + 127) << 23);
}

static float sum_of(f4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }

static f4 root(f4 x) { return __builtin_elementwise_sqrt(x); }

// C (n, m) = A (n, k) B (k, m) + bias (m,), m in units of four, an even number of them; n is rounded up to fours.
static void product(const f4 *A, const f4 *B, const f4 *bias, f4 *C, int n, int k, int m)
{
    for (int i = 0; i < n; i += 4) {
        const float *a0 = (const float *)A + i * k, *a1 = a0 + k, *a2 = a1 + k, *a3 = a2 + k;
        for (int j = 0; j < m; j += 2) {
            f4 left = bias ? bias[j] : (f4){}, right = bias ? bias[j + 1] : (f4){};
            f4 c0 = left, c1 = left, c2 = left, c3 = left, d0 = right, d1 = right, d2 = right, d3 = right;
            const f4 *b = B + j;
            for (int p = 0; p < k; p++, b += m) {
                c0 += a0[p] * b[0]; d0 += a0[p] * b[1];
                c1 += a1[p] * b[0]; d1 += a1[p] * b[1];
                c2 += a2[p] * b[0]; d2 += a2[p] * b[1];
                c3 += a3[p] * b[0]; d3 += a3[p] * b[1];
            }
            f4 *c = C + i * m + j;
            c[0] = c0; c[m] = c1; c[2 * m] = c2; c[3 * m] = c3;
            c[1] = d0; c[m + 1] = d1; c[2 * m + 1] = d2; c[3 * m + 1] = d3;
        }
    }
}

// --- the structure, its neighbours ---

typedef struct { int i, j; double shift[3]; } Near;  // r_ij = R_j − R_i + shift, while no atom has moved far
typedef struct { int i, j, row; float rest, d, x, y, z; } Pair;  // as `Pairs` in compiled.py; each pair once, not twice
typedef struct { int i, j; float nearness, x, y, z; } Contact;   // distance over the sum of the covalent radii; r_ij

static int N, n_near, n_pairs, n_contacts, most_near, most_contacts;
static int *species_, *pbc_;  // which row of the embedding; three switches
static double *positions_, *velocities_, *forces_, *masses_, *radii_, *cell_;
static double *listed;  // (N, 3) where the atoms were when their neighbours were searched
static Near *near;
static Pair *pairs;
static Contact *contacts_;
static double cutoff, reach, energy_;

EXPORT void set_structure(int n_atoms)  // then fill the arrays that the next lines give, and say `set_reach`
{
    N = n_atoms;
    positions_ = reserve(24ul * N), velocities_ = reserve(24ul * N), forces_ = reserve(24ul * N);
    listed = reserve(24ul * N), masses_ = reserve(8ul * N), radii_ = reserve(8ul * N), species_ = reserve(4ul * N);
    cell_ = reserve(72), pbc_ = reserve(12);
}
EXPORT double *positions(void) { return positions_; }    // (N, 3) Å
EXPORT double *velocities(void) { return velocities_; }  // (N, 3) in ASE's units
EXPORT double *forces(void) { return forces_; }          // (N, 3) eV/Å, of the network
EXPORT double *masses(void) { return masses_; }          // (N,) amu
EXPORT double *radii(void) { return radii_; }            // (N,) Å, covalent
EXPORT double *cell(void) { return cell_; }              // (3, 3) Å
EXPORT int *pbc(void) { return pbc_; }                   // (3,)
EXPORT int *species(void) { return species_; }           // (N,)
EXPORT Contact *contacts(void) { return contacts_; }

static void cross(const double *a, const double *b, double *c)
{
    for (int x = 0; x < 3; x++) c[x] = a[(x + 1) % 3] * b[(x + 2) % 3] - a[(x + 2) % 3] * b[(x + 1) % 3];
}

static double dot(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static int rounded(double x) { return (int)__builtin_floor(x + 0.5); }

// Directions across the cell, (3, 3) in 1/Å: a vector times one of them counts cells, and 1/length is a width.
static void across_cell(double across[3][3])
{
    for (int k = 0; k < 3; k++) {
        const double *a = cell_ + 3 * ((k + 1) % 3), *b = cell_ + 3 * ((k + 2) % 3);
        for (int x = 0; x < 3; x++) across[k][x] = 0;
        if (!pbc_[k]) continue;
        cross(a, b, across[k]);
        double volume = dot(across[k], cell_ + 3 * k);
        for (int x = 0; x < 3; x++) across[k][x] /= volume;
    }
}

// All pairs i ≤ j up to the reach, every periodic image counted, each pair once; they are kept where `keep` says so.
static int search(int keep)
{
    double across[3][3], shift[3], r[3];
    int n = 0, most[3], nearest[3];
    across_cell(across);
    for (int i = 0; i < N; i++)
        for (int j = i; j < N; j++) {
            for (int k = 0; k < 3; k++) {
                for (int x = 0; x < 3; x++) r[x] = positions_[3 * j + x] - positions_[3 * i + x];
                double cells = dot(across[k], r);
                nearest[k] = -rounded(cells);
                most[k] = pbc_[k] ? (int)(reach * __builtin_sqrt(dot(across[k], across[k])) + 0.5) : 0;
            }
            for (int a = -most[0]; a <= most[0]; a++)
                for (int b = -most[1]; b <= most[1]; b++)
                    for (int c = -most[2]; c <= most[2]; c++) {
                        if (i == j && (a < 0 || (a == 0 && (b < 0 || (b == 0 && c <= 0))))) continue;
                        double square = 0;
                        for (int x = 0; x < 3; x++) {
                            shift[x] = (a + nearest[0]) * cell_[x] + (b + nearest[1]) * cell_[3 + x]
                                       + (c + nearest[2]) * cell_[6 + x];
                            double along = positions_[3 * j + x] - positions_[3 * i + x] + shift[x];
                            square += along * along;
                        }
                        if (square >= reach * reach) continue;
                        if (keep) near[n] = (Near){i, j, {shift[0], shift[1], shift[2]}};
                        n++;
                    }
        }
    return n;
}

static void list_neighbours(void)  // anew, once an atom has moved half of the skin
{
    double farthest = 0;
    for (int i = 0; i < N; i++) {
        double square = 0;
        for (int x = 0; x < 3; x++) {
            double moved = positions_[3 * i + x] - listed[3 * i + x];
            square += moved * moved;
        }
        if (!(square <= farthest)) farthest = square;
    }
    if (near && farthest < SKIN * SKIN / 4) return;
    n_near = search(0);
    if (!near || n_near > most_near) {
        most_near = n_near + n_near / 2 + 16;
        near = reserve(sizeof(Near) * most_near), pairs = reserve(sizeof(Pair) * most_near);
    }
    search(1);
    for (int k = 0; k < 3 * N; k++) listed[k] = positions_[k];
}

static double vector_of(const Near *one, double *r)  // r_ij (3,) as it is now; its length
{
    for (int x = 0; x < 3; x++) r[x] = positions_[3 * one->j + x] - positions_[3 * one->i + x] + one->shift[x];
    return __builtin_sqrt(dot(r, r));
}

EXPORT int find_contacts(double factor)  // pairs nearer than `factor` times the sum of their covalent radii
{
    double r[3];
    list_neighbours();
    if (most_near > most_contacts) contacts_ = reserve(sizeof(Contact) * (most_contacts = most_near));
    n_contacts = 0;
    for (int e = 0; e < n_near; e++) {
        const Near *one = near + e;
        double nearness = vector_of(one, r) / (radii_[one->i] + radii_[one->j]);
        if (nearness < factor && one->i != one->j)
            contacts_[n_contacts++] = (Contact){one->i, one->j, nearness, r[0], r[1], r[2]};
    }
    return n_contacts;
}

// --- the blocks of PaiNN: forward, and back from slopes g by what comes out to slopes by what went in ---

static int F, F4;  // padded width, and in units of four

typedef struct {
    int inputs, hidden, outputs;
    f4 *w1, *b1, *w2, *b2, *w1T, *w2T, *act, *slope, *out, *gated, *back;
} Dense;
typedef struct { int first, width; f4 *table, *gx, *sent; } Listen;
typedef struct { f4 *VU, *VUT, *vectors, *sl, *dot, *by_a, *by_VU, *s, *v; Dense a; } Mix;
typedef struct { Dense phi; Listen listen; Mix mix; f4 *s, *v, *heard_s, *heard_v; } Round;

static Dense readout;
static Round *rounds;
static f4 *embedding, *gs, *gv;
static int n_rounds, n_rows;
static float scale, per_angstrom;

// Dense: Linear, SiLU, Linear.

static const f4 *dense_forward(const Dense *dense, const f4 *x)
{
    int hidden = dense->hidden / 4;
    product(x, dense->w1T, dense->b1, dense->slope, N, dense->inputs, hidden);
    for (int k = 0; k < N * hidden; k++) {
        f4 z = dense->slope[k], gate = 1.0f / (1.0f + exponential(-z));
        dense->act[k] = z * gate;
        dense->slope[k] = gate * (1.0f + z * (1.0f - gate));
    }
    product(dense->act, dense->w2T, dense->b2, dense->out, N, dense->hidden, dense->outputs / 4);
    return dense->out;
}

static const f4 *dense_back(const Dense *dense, const f4 *g)
{
    int hidden = dense->hidden / 4;
    product(g, dense->w2, 0, dense->gated, N, dense->outputs, hidden);
    for (int k = 0; k < N * hidden; k++) dense->gated[k] *= dense->slope[k];
    product(dense->gated, dense->w1, 0, dense->back, N, dense->hidden, dense->inputs / 4);
    return dense->back;
}

// Listen: `painn.Interaction`, what each atom hears from its neighbours, added to what it knows.  W(d) and its slope
// come from a cubic piece of the table; a pair is taken once, and both of its atoms hear.

#define PIECES \
    const f4 *c0 = listen->table + 4 * pair->row * width, *c1 = c0 + width, *c2 = c1 + width, *c3 = c2 + width
#define W(k) (c0[k] + u * (c1[k] + u * (c2[k] + u * c3[k])))
#define DW(k) (c1[k] + u * (2 * c2[k] + 3 * u * c3[k]))

static void listen_forward(const Listen *listen, const f4 *x, const f4 *v, f4 *s_out, f4 *v_out)
{
    const int width = listen->width / 4, s_ = 0, r_ = F4, v_ = 2 * F4;
    for (int e = 0; e < n_pairs; e++) {
        const Pair *pair = pairs + e;
        PIECES;
        const float u = pair->rest, dx = pair->x, dy = pair->y, dz = pair->z;
        const f4 *xi = x + pair->i * width, *xj = x + pair->j * width;
        const f4 *vi = v + pair->i * 3 * F4, *vj = v + pair->j * 3 * F4;
        f4 *si = s_out + pair->i * F4, *sj = s_out + pair->j * F4;
        f4 *oi = v_out + pair->i * 3 * F4, *oj = v_out + pair->j * 3 * F4;
        for (int f = 0; f < F4; f++) {
            f4 w = W(s_ + f);
            si[f] += w * xj[s_ + f];
            sj[f] += w * xi[s_ + f];
            w = W(r_ + f);
            f4 to_i = w * xj[r_ + f], to_j = w * xi[r_ + f];  // along r_ij; for j it points the other way
            f4 pass_i = {}, pass_j = {};
            if (!listen->first) w = W(v_ + f), pass_i = w * xj[v_ + f], pass_j = w * xi[v_ + f];
            oi[f] += to_i * dx + pass_i * vj[f];
            oi[F4 + f] += to_i * dy + pass_i * vj[F4 + f];
            oi[2 * F4 + f] += to_i * dz + pass_i * vj[2 * F4 + f];
            oj[f] += pass_j * vi[f] - to_j * dx;
            oj[F4 + f] += pass_j * vi[F4 + f] - to_j * dy;
            oj[2 * F4 + f] += pass_j * vi[2 * F4 + f] - to_j * dz;
        }
    }
}

// Slopes by x (gx) and v (sent) of the speakers, and forces.  In way 0 atom i hears atom j, in way 1 j hears i.
static void listen_back(const Listen *listen, const f4 *x, const f4 *v, const f4 *gs, const f4 *gv)
{
    const int width = listen->width / 4, s_ = 0, r_ = F4, v_ = 2 * F4, y_ = F4, z_ = 2 * F4;
    for (int k = 0; k < N * width; k++) listen->gx[k] = (f4){};
    for (int k = 0; k < N * 3 * F4; k++) listen->sent[k] = gv[k];
    for (int e = 0; e < n_pairs; e++) {
        const Pair *pair = pairs + e;
        PIECES;
        const float u = pair->rest, dx = pair->x, dy = pair->y, dz = pair->z;
        const int speaker[2] = {pair->j, pair->i}, listener[2] = {pair->i, pair->j};
        f4 by_d = {}, by_x = {}, by_y = {}, by_z = {};
        for (int f = 0; f < F4; f++) {
            const f4 w_s = W(s_ + f), w_r = W(r_ + f), dw_s = DW(s_ + f), dw_r = DW(r_ + f);
            const f4 w_v = listen->first ? w_r : W(v_ + f), dw_v = listen->first ? w_r : DW(v_ + f);
#pragma unroll
            for (int way = 0; way < 2; way++) {
                const f4 *xa = x + speaker[way] * width + f, *va = v + speaker[way] * 3 * F4 + f;
                const f4 *gsb = gs + listener[way] * F4 + f, *gvb = gv + listener[way] * 3 * F4 + f;
                f4 *of_x = listen->gx + speaker[way] * width + f, *of_v = listen->sent + speaker[way] * 3 * F4 + f;
                const f4 gx = gvb[0], gy = gvb[y_], gz = gvb[z_], turned = gx * dx + gy * dy + gz * dz;
                const f4 q = way ? -turned : turned, along = (way ? -xa[r_] : xa[r_]) * w_r;
                of_x[s_] += *gsb * w_s;
                of_x[r_] += q * w_r;
                by_d += *gsb * xa[s_] * dw_s + q * xa[r_] * dw_r;
                by_x += gx * along, by_y += gy * along, by_z += gz * along;
                if (listen->first) continue;
                const f4 p = gx * va[0] + gy * va[y_] + gz * va[z_], passed = xa[v_] * w_v;
                of_x[v_] += p * w_v;
                by_d += p * xa[v_] * dw_v;
                of_v[0] += gx * passed, of_v[y_] += gy * passed, of_v[z_] += gz * passed;
            }
        }
        const float along_x = sum_of(by_x), along_y = sum_of(by_y), along_z = sum_of(by_z);
        const float radial = sum_of(by_d) * per_angstrom - (along_x * dx + along_y * dy + along_z * dz) / pair->d;
        const float push[3] = {radial * dx + along_x / pair->d, radial * dy + along_y / pair->d,
                               radial * dz + along_z / pair->d};
        for (int c = 0; c < 3; c++) {  // r_ij = R_j − R_i, and a force is minus the slope
            forces_[3 * pair->i + c] += push[c];
            forces_[3 * pair->j + c] -= push[c];
        }
    }
}

// Mix: `painn.Mixing`.

static void mix_forward(const Mix *mix, const f4 *s, const f4 *v, f4 *s_out, f4 *v_out)
{
    product(v, mix->VUT, 0, mix->vectors, 3 * N, F, 2 * F4);
    for (int i = 0; i < N; i++)
        for (int f = 0; f < F4; f++) {
            const f4 *Vv = mix->vectors + 6 * i * F4 + f, *Uv = Vv + F4;
            f4 square = Vv[0] * Vv[0] + Vv[2 * F4] * Vv[2 * F4] + Vv[4 * F4] * Vv[4 * F4];
            mix->dot[i * F4 + f] = Uv[0] * Vv[0] + Uv[2 * F4] * Vv[2 * F4] + Uv[4 * F4] * Vv[4 * F4];
            mix->sl[2 * i * F4 + f] = s[i * F4 + f];
            mix->sl[2 * i * F4 + F4 + f] = root(square + EPSILON);
        }
    const f4 *factors = dense_forward(&mix->a, mix->sl);
    for (int i = 0; i < N; i++)
        for (int f = 0; f < F4; f++) {
            const f4 *a_ss = factors + 3 * i * F4 + f, *a_vv = a_ss + F4, *a_sv = a_vv + F4;
            s_out[i * F4 + f] = s[i * F4 + f] + *a_ss + *a_sv * mix->dot[i * F4 + f];
            for (int x = 0; x < 3; x++) {
                const f4 Uv = mix->vectors[(6 * i + 2 * x + 1) * F4 + f];
                v_out[(3 * i + x) * F4 + f] = v[(3 * i + x) * F4 + f] + *a_vv * Uv;
            }
        }
}

static void mix_back(const Mix *mix, f4 *gs, f4 *gv)  // both are changed into the results
{
    for (int i = 0; i < N; i++)
        for (int f = 0; f < F4; f++) {
            f4 by_vv = {};
            for (int x = 0; x < 3; x++) by_vv += gv[(3 * i + x) * F4 + f] * mix->vectors[(6 * i + 2 * x + 1) * F4 + f];
            f4 *by_a = mix->by_a + 3 * i * F4 + f;
            by_a[0] = gs[i * F4 + f], by_a[F4] = by_vv, by_a[2 * F4] = gs[i * F4 + f] * mix->dot[i * F4 + f];
        }
    const f4 *by_sl = dense_back(&mix->a, mix->by_a);
    for (int i = 0; i < N; i++)
        for (int f = 0; f < F4; f++) {
            const f4 *factors = mix->a.out + 3 * i * F4 + f;
            f4 by_dot = gs[i * F4 + f] * factors[2 * F4];
            f4 by_length = by_sl[2 * i * F4 + F4 + f] / mix->sl[2 * i * F4 + F4 + f];
            for (int x = 0; x < 3; x++) {
                const f4 *Vv = mix->vectors + (6 * i + 2 * x) * F4 + f, *Uv = Vv + F4;
                f4 *by_Vv = mix->by_VU + (6 * i + 2 * x) * F4 + f, *by_Uv = by_Vv + F4;
                *by_Vv = by_dot * *Uv + by_length * *Vv;
                *by_Uv = by_dot * *Vv + gv[(3 * i + x) * F4 + f] * factors[F4];
            }
            gs[i * F4 + f] += by_sl[2 * i * F4 + f];
        }
    product(mix->by_VU, mix->VU, 0, mix->v, 3 * N, 2 * F, F4);
    for (int k = 0; k < 3 * N * F4; k++) gv[k] += mix->v[k];
}

// --- energy and forces ---

static void measure_pairs(void)
{
    double r[3];
    list_neighbours();
    n_pairs = 0;
    for (int e = 0; e < n_near; e++) {
        double d = vector_of(near + e, r), place = d * per_angstrom;
        if (!(d < cutoff) || (int)place >= n_rows) continue;
        int row = (int)place;
        float x = r[0] / d, y = r[1] / d, z = r[2] / d;
        pairs[n_pairs++] = (Pair){near[e].i, near[e].j, row, place - row, d, x, y, z};
    }
}

static double local_energies(void)  // their sum, eV; what the way back needs is kept in the blocks
{
    for (int i = 0; i < N; i++)
        for (int f = 0; f < F4; f++) rounds[0].s[i * F4 + f] = embedding[species_[i] * F4 + f];
    for (int k = 0; k < n_rounds; k++) {
        const Round *r = rounds + k;
        f4 *s = k + 1 < n_rounds ? r[1].s : gs, *v = k + 1 < n_rounds ? r[1].v : gv;
        for (int f = 0; f < N * F4; f++) r->heard_s[f] = r->s[f];
        for (int f = 0; f < 3 * N * F4; f++) r->heard_v[f] = k ? r->v[f] : (f4){};
        listen_forward(&r->listen, dense_forward(&r->phi, r->s), r->v, r->heard_s, r->heard_v);
        mix_forward(&r->mix, r->heard_s, r->heard_v, s, v);
    }
    const float *local = (const float *)dense_forward(&readout, gs);
    double sum = 0;
    for (int i = 0; i < N; i++) sum += scale * local[i * readout.outputs];
    return sum;
}

EXPORT double evaluate(void)  // the energy in eV, without the reference energies of the atoms; fills `forces`
{
    measure_pairs();
    energy_ = local_energies();
    for (int k = 0; k < 3 * N; k++) forces_[k] = 0;
    f4 *ones = readout.out;  // slopes of the energy by the local energies
    for (int k = 0; k < N * readout.outputs / 4; k++) ones[k] = (f4){};
    for (int i = 0; i < N; i++) ones[i * readout.outputs / 4][0] = scale;
    const f4 *by_s = dense_back(&readout, ones);
    for (int k = 0; k < N * F4; k++) gs[k] = by_s[k];
    for (int k = 0; k < 3 * N * F4; k++) gv[k] = (f4){};
    for (int k = n_rounds - 1; k >= 0; k--) {
        const Round *r = rounds + k;
        mix_back(&r->mix, gs, gv);
        listen_back(&r->listen, r->phi.out, r->v, gs, gv);
        if (k == 0) break;  // the embedding does not move with the atoms
        for (int f = 0; f < 3 * N * F4; f++) gv[f] = r->listen.sent[f];
        const f4 *by_x = dense_back(&r->phi, r->listen.gx);
        for (int f = 0; f < N * F4; f++) gs[f] += by_x[f];
    }
    return energy_;
}

// --- weights: the parameters of PaiNN in the order in which the library lists them, row by row ---

// A row is its numbers in float32; or, rounded, one step in float32 and then how many steps each number is, in 16 bits.
static const unsigned char *unread;
static int are_rounded;

static void take(void *to, int bytes)
{
    for (int k = 0; k < bytes; k++) ((unsigned char *)to)[k] = *unread++;
}

static float next_number(float step)
{
    short steps;
    float number;
    if (!are_rounded) return take(&number, 4), number;
    return take(&steps, 2), step * steps;
}

static int padded(int width) { return (width + 7) & ~7; }

// A matrix of (row_parts · rows, column_parts · columns), each part of its rows and columns padded with zeros.
static f4 *read_matrix(int row_parts, int rows, int column_parts, int columns)
{
    int width = column_parts * padded(columns);
    float *matrix = (float *)features(row_parts * padded(rows), width), step = 0;
    for (int a = 0; a < row_parts * rows; a++) {
        float *row = matrix + (a / rows * padded(rows) + a % rows) * width;
        if (are_rounded) take(&step, 4);
        for (int b = 0; b < column_parts * columns; b++)
            row[b / columns * padded(columns) + b % columns] = next_number(step);
    }
    return (f4 *)matrix;
}

static f4 *transposed(const f4 *matrix, int rows, int columns)
{
    const float *from = (const float *)matrix;
    float *to = (float *)features(columns, rows);
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < columns; b++) to[b * rows + a] = from[a * columns + b];
    return (f4 *)to;
}

static Dense read_dense(int input_parts, int inputs, int hidden, int output_parts, int outputs)
{
    Dense dense = {input_parts * padded(inputs), padded(hidden), output_parts * padded(outputs)};
    dense.w1 = read_matrix(1, hidden, input_parts, inputs), dense.b1 = read_matrix(1, 1, 1, hidden);
    dense.w2 = read_matrix(output_parts, outputs, 1, hidden), dense.b2 = read_matrix(1, 1, output_parts, outputs);
    dense.w1T = transposed(dense.w1, dense.hidden, dense.inputs);
    dense.w2T = transposed(dense.w2, dense.outputs, dense.hidden);
    dense.act = features(N, dense.hidden), dense.slope = features(N, dense.hidden);
    dense.gated = features(N, dense.hidden), dense.back = features(N, dense.inputs);
    dense.out = features(N, dense.outputs);
    return dense;
}

// `RadialBasis` times `cosine_cutoff` at a distance d, the fade itself last, and the slopes.
static void faded_basis(int n_rbf, double d, double *value, double *slope)
{
    if (d < 1e-3) d = 1e-3;
    double turn = PI / cutoff, fade = 0.5 * (sine(turn * d + PI / 2) + 1), fading = -0.5 * turn * sine(turn * d);
    for (int n = 0; n < n_rbf; n++) {
        double wave = sine((n + 1) * turn * d) / d;
        double rise = ((n + 1) * turn * sine((n + 1) * turn * d + PI / 2) - wave) / d;
        value[n] = wave * fade, slope[n] = rise * fade + wave * fading;
    }
    value[n_rbf] = fade, slope[n_rbf] = fading;
}

// The filters' cubic pieces (n_rows, 4, width), as `cubic_pieces` and `Listen.tabulate` make them.
static f4 *tabulated(const f4 *weights, int n_rbf, int width)
{
    int n_basis = n_rbf + 1;
    f4 *table = features(4 * n_rows, width), *by_basis = transposed(weights, width, padded(n_basis));
    double *memory = reserve(32ul * n_basis), *value = memory, *slope = value + n_basis;
    double *next = slope + n_basis, *next_slope = next + n_basis, step = 1 / (double)per_angstrom;
    faded_basis(n_rbf, 0, value, slope);
    for (int row = 0; row < n_rows; row++) {
        faded_basis(n_rbf, (row + 1) * step, next, next_slope);
        for (int n = 0; n < n_basis; n++) {
            double rise = next[n] - value[n], start = slope[n] * step, end = next_slope[n] * step;
            float piece[4] = {value[n], start, 3 * rise - 2 * start - end, start + end - 2 * rise};
            for (int c = 0; c < 4; c++)
                for (int f = 0; f < width / 4; f++)
                    table[(4 * row + c) * width / 4 + f] += piece[c] * by_basis[n * width / 4 + f];
            value[n] = next[n], slope[n] = next_slope[n];
        }
    }
    return table;
}

static Listen read_listen(int n_features, int n_rbf, int first)
{
    int parts = first ? 2 : 3;
    Listen listen = {first, parts * F};
    listen.table = tabulated(read_matrix(parts, n_features, 1, n_rbf + 1), n_rbf, listen.width);
    listen.gx = features(N, listen.width), listen.sent = features(3 * N, F);
    return listen;
}

static Mix read_mix(int n_features)
{
    Mix mix = {read_matrix(2, n_features, 1, n_features)};
    mix.VUT = transposed(mix.VU, 2 * F, F);
    mix.a = read_dense(2, n_features, n_features, 3, n_features);
    mix.vectors = features(3 * N, 2 * F), mix.by_VU = features(3 * N, 2 * F), mix.v = features(3 * N, F);
    mix.sl = features(N, 2 * F), mix.dot = features(N, F), mix.by_a = features(N, 3 * F);
    return mix;
}

static int dense_bytes(int inputs, int hidden, int outputs, int rounded)
{
    int n_numbers = hidden * (inputs + 1) + outputs * (hidden + 1), n_rows = hidden + outputs + 2;
    return rounded ? 2 * n_numbers + 4 * n_rows : 4 * n_numbers;
}

static int matrix_bytes(int rows, int columns, int rounded) { return rows * (rounded ? 2 * columns + 4 : 4 * columns); }

EXPORT int weight_bytes(int n_features, int n_interactions, int n_rbf, int n_species, int rounded)  // to be read
{
    int F = n_features, bytes = matrix_bytes(n_species, F, rounded) + dense_bytes(F, F / 2, 1, rounded);
    for (int k = 0; k < n_interactions; k++) {
        int parts = k ? 3 : 2;
        bytes += dense_bytes(F, F, parts * F, rounded) + matrix_bytes(parts * F, n_rbf + 1, rounded);
        bytes += matrix_bytes(2 * F, F, rounded) + dense_bytes(2 * F, F, 3 * F, rounded);
    }
    return bytes;
}

// After `set_structure`.  `weights`: rows of the embedding for the species that occur, then all else.
EXPORT void set_network(int n_features, int n_interactions, int n_rbf, double cutoff_, double scale_, int n_species,
                        const void *weights, int rounded)
{
    double radius = 0;
    unread = weights, are_rounded = rounded;
    F = padded(n_features), F4 = F / 4, n_rounds = n_interactions, cutoff = cutoff_, scale = scale_;
    for (int i = 0; i < N; i++) radius = radii_[i] > radius ? radii_[i] : radius;
    reach = (cutoff > 3.2 * radius ? cutoff : 3.2 * radius) + SKIN;  // bonds are watched up to 1.6 times their length
    n_rows = (n_rbf > 20 ? INTERVALS / 20 * n_rbf : INTERVALS) + 1, per_angstrom = (n_rows - 1) / cutoff;
    embedding = read_matrix(1, n_species, 1, n_features), gs = features(N, F), gv = features(3 * N, F);
    rounds = reserve(sizeof(Round) * n_rounds);
    for (int k = 0; k < n_rounds; k++) {
        rounds[k].s = features(N, F), rounds[k].v = features(3 * N, F);
        rounds[k].heard_s = features(N, F), rounds[k].heard_v = features(3 * N, F);
        rounds[k].phi = read_dense(1, n_features, n_features, k ? 3 : 2, n_features);
        rounds[k].listen = read_listen(n_features, n_rbf, k == 0);
    }
    for (int k = 0; k < n_rounds; k++) rounds[k].mix = read_mix(n_features);
    readout = read_dense(1, n_features, n_features / 2, 1, 1);
}

// --- time passes ---

static unsigned long long random_state = 1;
static int pulled = -1;
static double target[3], spring;

EXPORT void set_seed(int seed) { random_state = 2ull * (unsigned)seed + 1; }

static double uniform(void)  // above 0, below 1; PCG, O'Neill 2014
{
    unsigned long long old = random_state;
    random_state = old * 6364136223846793005ull + 1442695040888963407ull;
    unsigned mixed = ((old >> 18) ^ old) >> 27, turn = old >> 59;
    return ((mixed >> turn | mixed << (-turn & 31)) + 0.5) * 0x1p-32;
}

static double normal(void)  // Marsaglia's polar method, one of its two numbers
{
    for (;;) {
        double a = 2 * uniform() - 1, b = 2 * uniform() - 1, square = a * a + b * b;
        if (square < 1 && square > 0) return a * __builtin_sqrt(-2 * logarithm(square) / square);
    }
}

// A spring from an atom to a place, eV/Å²; atom −1: none.
EXPORT void pull(int atom, double x, double y, double z, double strength)
{
    pulled = atom, target[0] = x, target[1] = y, target[2] = z, spring = strength;
}

// Half a step of velocity.  What the spring does to one atom is taken from all by their mass: nothing flies away.
static void kick(double step)
{
    double total = 0, tug[3] = {};
    for (int i = 0; i < N; i++) total += masses_[i];
    for (int x = 0; x < 3 && pulled >= 0; x++) tug[x] = spring * (target[x] - positions_[3 * pulled + x]);
    for (int i = 0; i < N; i++)
        for (int x = 0; x < 3; x++) {
            double force = forces_[3 * i + x] + (i == pulled ? tug[x] : 0);
            velocities_[3 * i + x] += step / 2 * (force / masses_[i] - tug[x] / total);
        }
}

// Velocity Verlet where the friction is 0; else Langevin's equation, "BAOAB" of Leimkuhler and Matthews 2013.
// `kept` = exp(−friction · timestep): how much of a velocity a step of friction leaves.  `evaluate` comes first.
EXPORT double advance(int n_steps, double timestep, double temperature, double kept)
{
    double step = timestep * FS, noise = __builtin_sqrt((1 - kept * kept) * KB * temperature);
    for (int n = 0; n < n_steps; n++) {
        kick(step);
        for (int k = 0; k < 3 * N; k++) positions_[k] += step / 2 * velocities_[k];
        if (kept < 1)
            for (int k = 0; k < 3 * N; k++)
                velocities_[k] = kept * velocities_[k] + noise / __builtin_sqrt(masses_[k / 3]) * normal();
        for (int k = 0; k < 3 * N; k++) positions_[k] += step / 2 * velocities_[k];
        evaluate();
        kick(step);
    }
    return energy_;
}

EXPORT double kinetic_energy(void)  // eV
{
    double sum = 0;
    for (int k = 0; k < 3 * N; k++) sum += masses_[k / 3] * velocities_[k] * velocities_[k] / 2;
    return sum;
}
