/* The three products of a linear layer whose weight is zero outside a static mask.
 *
 *   y  = x Wᵀ            forward_*   W by rows (CSR: crow, col, values)
 *   dx = g W             backward_*  W by columns (CSC: crow_t, row_t, order into the CSR values)
 *   dw = gᵀ x at the non-zeros
 *
 * Activations are (tokens, features), row-major, float or bf16; values and sums are float.
 * Tokens are taken in tiles. A tile is transposed into a buffer of features on rows that stays in the cache, so that
 * one non-zero is one broadcast times a few contiguous vectors; results are transposed back sixteen features at a time.
 * Written with the vector extension that gcc and clang share; the compiler maps it to what the processor has.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define PART 512 /* vectors of a result that wait to be transposed back: 32 KiB, so that they stay in the first cache */

typedef float vec __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t word __attribute__((vector_size(64)));
typedef uint16_t half_loose __attribute__((vector_size(32), aligned(2), may_alias));

static inline vec load_f32(const float *p) { return (vec) * (const loose *)p; }
static inline void store_f32(float *p, vec v) { *(loose *)p = (loose)v; }

static inline vec load_bf16(const uint16_t *p) {
    return (vec)(__builtin_convertvector(*(const half_loose *)p, word) << 16);
}

/* Round to nearest even; a NaN keeps its upper half with a bit set, so that it stays a NaN. */
static inline void store_bf16(uint16_t *p, vec v) {
    word bits = (word)v;
    word rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    word quiet = (bits >> 16) | 0x40;
    word is_nan = (word)((bits & 0x7fffffff) > 0x7f800000);
    *(half_loose *)p = (half_loose)__builtin_convertvector((rounded & ~is_nan) | (quiet & is_nan), half_loose);
}

static inline float widen_f32(float v) { return v; }
static inline float widen_bf16(uint16_t v) {
    uint32_t bits = (uint32_t)v << 16;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}
static inline float narrow_f32(float v) { return v; }
static inline uint16_t narrow_bf16(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* One stage of a 16 x 16 transpose: exchange the off-diagonal blocks of size s of every pair of rows (i, i + s). */
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define STAGE(s, low, high)                                          \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) {       \
        if (i & s) continue;                                         \
        vec a = r[i], b = r[i + s];                                  \
        r[i] = __builtin_shufflevector(a, b, low);                   \
        r[i + s] = __builtin_shufflevector(a, b, high);              \
    }

static inline void transpose(vec r[LANES]) {
    STAGE(8, LOW8, HIGH8)
    STAGE(4, LOW4, HIGH4)
    STAGE(2, LOW2, HIGH2)
    STAGE(1, LOW1, HIGH1)
}

/* Lane i of the result is the sum over the lanes of r[i]. */
#define FOLD(s, low, high)                                           \
    _Pragma("GCC unroll 8") for (int i = 0; i < s; i++)              \
        r[i] = __builtin_shufflevector(r[i], r[i + s], low) + __builtin_shufflevector(r[i], r[i + s], high);

static inline vec row_sums(vec r[LANES]) {
    FOLD(8, LOW8, HIGH8)
    FOLD(4, LOW4, HIGH4)
    FOLD(2, LOW2, HIGH2)
    FOLD(1, LOW1, HIGH1)
    return r[0];
}

static vec *buffer(int64_t vectors) { return aligned_alloc(64, (size_t)(vectors > 0 ? vectors : 1) * sizeof(vec)); }

/* out[i] = sum over the non-zeros k of row i of values[k] * tile[index[k]], for `rows` rows. */
#define PRODUCT(blocks)                                                                                             \
    static inline void product_##blocks(vec *restrict out, const vec *restrict tile, const float *restrict values,  \
                                        const int32_t *restrict start, const int32_t *restrict index, int rows) {  \
        for (int i = 0; i < rows; i++) {                                                                            \
            vec sum[blocks];                                                                                        \
            for (int b = 0; b < blocks; b++) sum[b] = (vec){0};                                                     \
            for (int32_t k = start[i]; k < start[i + 1]; k++) {                                                     \
                const vec *from = tile + (int64_t)index[k] * blocks;                                                \
                const float value = values[k];                                                                      \
                _Pragma("GCC unroll 8") for (int b = 0; b < blocks; b++) sum[b] += from[b] * value;                 \
            }                                                                                                       \
            for (int b = 0; b < blocks; b++) out[i * blocks + b] = sum[b];                                          \
        }                                                                                                           \
    }
PRODUCT(1)
PRODUCT(2)
PRODUCT(4)
PRODUCT(8)

static void product(int blocks, vec *out, const vec *tile, const float *values, const int32_t *start,
                    const int32_t *index, int rows) {
    switch (blocks) {
    case 1: product_1(out, tile, values, start, index, rows); break;
    case 2: product_2(out, tile, values, start, index, rows); break;
    case 4: product_4(out, tile, values, start, index, rows); break;
    default: product_8(out, tile, values, start, index, rows);
    }
}

/* dw[k] += left[row of k] . right[col[k]] over the tokens of one tile; sixteen dot products are folded at once. */
#define DOTS(blocks)                                                                                                \
    static inline void dots_##blocks(float *restrict dw, const vec *restrict left, const vec *restrict right,       \
                                     const int32_t *restrict crow, const int32_t *restrict col, int64_t rows) {     \
        vec part[LANES];                                                                                            \
        int filled = 0;                                                                                             \
        int32_t first = 0;                                                                                          \
        for (int64_t i = 0; i < rows; i++) {                                                                        \
            vec mine[blocks];                                                                                       \
            for (int b = 0; b < blocks; b++) mine[b] = left[i * blocks + b];                                        \
            for (int32_t k = crow[i]; k < crow[i + 1]; k++) {                                                       \
                const vec *from = right + (int64_t)col[k] * blocks;                                                 \
                vec sum = mine[0] * from[0];                                                                        \
                _Pragma("GCC unroll 8") for (int b = 1; b < blocks; b++) sum += mine[b] * from[b];                  \
                part[filled++] = sum;                                                                               \
                if (filled == LANES) {                                                                              \
                    store_f32(dw + first, load_f32(dw + first) + row_sums(part));                                   \
                    first += LANES, filled = 0;                                                                     \
                }                                                                                                   \
            }                                                                                                       \
        }                                                                                                           \
        for (int i = 0; i < filled; i++)                                                                            \
            for (int lane = 0; lane < LANES; lane++) dw[first + i] += part[i][lane];                                \
    }
DOTS(1)
DOTS(2)
DOTS(4)
DOTS(8)

static void dots(int blocks, float *dw, const vec *left, const vec *right, const int32_t *crow, const int32_t *col,
                 int64_t rows) {
    switch (blocks) {
    case 1: dots_1(dw, left, right, crow, col, rows); break;
    case 2: dots_2(dw, left, right, crow, col, rows); break;
    case 4: dots_4(dw, left, right, crow, col, rows); break;
    default: dots_8(dw, left, right, crow, col, rows);
    }
}

/* Everything that depends on the type of the activations. Returns 0; 1: no memory; 2: indices do not fit. */
#define FOR_TYPE(T, name)                                                                                           \
    /* tile[f * blocks + b][lane] = from[16 b + lane][f]; tokens at or beyond `tokens` count as zero */             \
    static void gather_##name(vec *restrict tile, const T *restrict from, int64_t tokens, int64_t features,         \
                              int blocks) {                                                                         \
        for (int b = 0; b < blocks; b++) {                                                                          \
            const int64_t here = tokens - (int64_t)b * LANES;                                                       \
            const T *base = from + (int64_t)b * LANES * features;                                                   \
            int64_t f = 0;                                                                                          \
            if (here >= LANES)                                                                                      \
                for (; f + LANES <= features; f += LANES) {                                                         \
                    vec r[LANES];                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                        \
                        r[i] = load_##name(base + i * features + f);                                                \
                    transpose(r);                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) tile[(f + i) * blocks + b] = r[i];     \
                }                                                                                                   \
            for (; f < features; f++) {                                                                             \
                vec v = {0};                                                                                        \
                for (int i = 0; i < LANES && i < here; i++) v[i] = widen_##name(base[i * features + f]);            \
                tile[f * blocks + b] = v;                                                                           \
            }                                                                                                       \
        }                                                                                                           \
    }                                                                                                               \
    /* The way back for `rows` features that lie at to[token][0 ...]: sixteen tokens at a time, so that few rows of */ \
    /* `to` are written at once (their pages stay in the translation buffer). */                                    \
    static void scatter_##name(T *restrict to, const vec *restrict from, int64_t tokens, int64_t features,          \
                               int blocks, int rows) {                                                              \
        for (int b = 0; b < blocks; b++) {                                                                          \
            const int64_t here = tokens - (int64_t)b * LANES;                                                       \
            T *base = to + (int64_t)b * LANES * features;                                                           \
            int f = 0;                                                                                              \
            if (here >= LANES)                                                                                      \
                for (; f + LANES <= rows; f += LANES) {                                                             \
                    vec r[LANES];                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) r[i] = from[(f + i) * blocks + b];     \
                    transpose(r);                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                        \
                        store_##name(base + i * features + f, r[i]);                                                \
                }                                                                                                   \
            for (; f < rows; f++)                                                                                   \
                for (int lane = 0; lane < LANES && lane < here; lane++)                                             \
                    base[lane * features + f] = narrow_##name(from[f * blocks + b][lane]);                          \
        }                                                                                                           \
    }                                                                                                               \
    static void multiply_##name(T *to, const vec *tile, const float *values, const int32_t *start,                  \
                                const int32_t *index, int64_t tokens, int64_t features, int blocks) {               \
        vec part[PART];                                                                                             \
        const int most = PART / blocks;                                                                             \
        for (int64_t f = 0; f < features; f += most) {                                                              \
            const int rows = features - f < most ? (int)(features - f) : most;                                      \
            product(blocks, part, tile, values, start + f, index, rows);                                            \
            scatter_##name(to + f, part, tokens, features, blocks, rows);                                           \
        }                                                                                                           \
    }                                                                                                               \
    int forward_##name(const T *x, const float *values, const int32_t *crow, const int32_t *col, T *y,              \
                       int64_t count, int64_t tokens, int64_t in, int64_t out, int blocks) {                        \
        if (crow[out] != count) return 2;                                                                           \
        vec *tile = buffer(in * blocks);                                                                            \
        if (!tile) return 1;                                                                                        \
        for (int64_t t = 0; t < tokens; t += (int64_t)blocks * LANES) {                                             \
            gather_##name(tile, x + t * in, tokens - t, in, blocks);                                                \
            multiply_##name(y + t * out, tile, values, crow, col, tokens - t, out, blocks);                         \
        }                                                                                                           \
        free(tile);                                                                                                 \
        return 0;                                                                                                   \
    }                                                                                                               \
    int backward_##name(const T *g, const T *x, const float *values, const int32_t *crow, const int32_t *col,       \
                        const int32_t *crow_t, const int32_t *row_t, const int32_t *order, T *dx, float *dw,        \
                        int64_t count, int64_t tokens, int64_t in, int64_t out, int blocks) {                       \
        if (crow[out] != count || crow_t[in] != count) return 2;                                                    \
        vec *x_tile = buffer(in * blocks), *g_tile = buffer(out * blocks);                                          \
        float *by_column = (float *)buffer((count + LANES - 1) / LANES);                                            \
        const int failed = !x_tile || !g_tile || !by_column;                                                        \
        if (!failed) {                                                                                              \
            for (int64_t k = 0; k < count; k++) by_column[k] = values[order[k]];                                    \
            memset(dw, 0, (size_t)count * sizeof(float));                                                           \
            for (int64_t t = 0; t < tokens; t += (int64_t)blocks * LANES) {                                         \
                gather_##name(g_tile, g + t * out, tokens - t, out, blocks);                                        \
                multiply_##name(dx + t * in, g_tile, by_column, crow_t, row_t, tokens - t, in, blocks);             \
                gather_##name(x_tile, x + t * in, tokens - t, in, blocks);                                          \
                dots(blocks, dw, g_tile, x_tile, crow, col, out);                                                   \
            }                                                                                                       \
        }                                                                                                           \
        free(x_tile), free(g_tile), free(by_column);                                                                \
        return failed;                                                                                              \
    }

FOR_TYPE(float, f32)
FOR_TYPE(uint16_t, bf16)
