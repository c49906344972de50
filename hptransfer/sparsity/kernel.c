/* The three products of a linear layer whose weight is zero outside a static mask.
 *
 *   y  = x Wᵀ            forward_*   W by rows (CSR: crow, col, values)
 *   dx = g W             backward_*  W by columns (CSC: crow_t, row_t, order into the CSR values)
 *   dw = gᵀ x at the non-zeros
 *
 * Activations are (tokens, features), row-major, float or bf16. Sums are float; so are the values, which are rounded to
 * bf16 beside bf16 activations, and dw as well.
 * Tokens are taken in tiles. A tile is transposed into a buffer of features on rows that stays in the cache, so that
 * one non-zero is one broadcast times a few contiguous vectors; results are transposed back.
 *
 * A unit of a tile is 64 bytes: 16 tokens of a feature in fp32, or 32 in bf16, where lane i holds token i in its lower
 * half and token 16 + i in its upper one. So bf16 moves half the bytes, and one transpose turns two blocks of tokens.
 * With AVX512-BF16 a unit times a unit is one instruction, and rounding is too.
 * Written with the vector extension that gcc and clang share; the compiler maps it to what the processor has.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
#define PART 512 /* vectors of a result that wait to be transposed back: 32 KiB, to stay in the first cache */

typedef float vec __attribute__((vector_size(64)));
typedef uint32_t word __attribute__((vector_size(64)));
typedef uint32_t loose __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t half_loose __attribute__((vector_size(32), aligned(2), may_alias));

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
        word a = r[i], b = r[i + s];                                 \
        r[i] = __builtin_shufflevector(a, b, low);                   \
        r[i + s] = __builtin_shufflevector(a, b, high);              \
    }

static inline void transpose(word r[LANES]) {
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

/* --- the two types: how a unit is read from memory, opened into fp32 vectors, closed again and written --- */

/* Round to nearest even, result in the lower half; a NaN keeps its upper half with a bit set, so that it stays one. */
static inline word round_bf16(vec v) {
#ifdef __AVX512BF16__
    return (word)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    const word bits = (word)v;
    const word rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const word is_nan = (word)((bits & 0x7fffffff) > 0x7f800000);
    return (rounded & ~is_nan) | (((bits >> 16) | 0x40) & is_nan);
#endif
}

#define HALVES_f32 1 /* blocks of 16 tokens in a unit */
#define HALVES_bf16 2

/* 16 features of token i, and for bf16 of token 16 + i; `stride` leads from a token to the next. */
static inline word load_f32(const float *p, int64_t stride) {
    (void)stride;
    return *(const loose *)p;
}
static inline word load_bf16(const uint16_t *p, int64_t stride) {
    const word low = __builtin_convertvector(*(const half_loose *)p, word);
    return low | (__builtin_convertvector(*(const half_loose *)(p + LANES * stride), word) << 16);
}
static inline void store_f32(float *p, int64_t stride, word v) {
    (void)stride;
    *(loose *)p = v;
}
static inline void store_bf16(uint16_t *p, int64_t stride, word v) {
    *(half_loose *)p = __builtin_convertvector(v & 0xffff, half_loose);
    *(half_loose *)(p + LANES * stride) = __builtin_convertvector(v >> 16, half_loose);
}
static inline void open_f32(vec out[1], word unit) { out[0] = (vec)unit; }
static inline void open_bf16(vec out[2], word unit) {
    out[0] = (vec)(unit << 16);
    out[1] = (vec)(unit & 0xffff0000);
}
static inline word close_f32(const vec in[1]) { return (word)in[0]; }
static inline word close_bf16(const vec in[2]) { return round_bf16(in[0]) | (round_bf16(in[1]) << 16); }

/* sum + what the lanes of two units multiply to. */
static inline vec dot_f32(vec sum, word a, word b) { return sum + (vec)a * (vec)b; }
static inline vec dot_bf16(vec sum, word a, word b) {
#ifdef __AVX512BF16__
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    return sum + (vec)(a << 16) * (vec)(b << 16) + (vec)(a & 0xffff0000) * (vec)(b & 0xffff0000);
#endif
}

/* to[k] = the values, or those that `order` names, rounded as the activations are. */
static inline void take_f32(float *to, const float *values, const int32_t *order, int64_t count) {
    for (int64_t k = 0; k < count; k++) to[k] = values[order ? order[k] : k];
}
static inline void take_bf16(float *to, const float *values, const int32_t *order, int64_t count) {
    take_f32(to, values, order, count);
    for (int64_t k = 0; k + LANES <= count; k += LANES)
        *(loose *)(to + k) = (loose)(round_bf16((vec) * (loose *)(to + k)) << 16);
    for (int64_t k = count - count % LANES; k < count; k++)
        to[k] = ((vec)(round_bf16((vec){to[k]}) << 16))[0];
}

/* One number's bits within a lane of a unit, for what is left over at the edges. */
static inline uint32_t bits_f32(float v, int half) {
    uint32_t bits;
    (void)half;
    memcpy(&bits, &v, 4);
    return bits;
}
static inline uint32_t bits_bf16(uint16_t v, int half) { return (uint32_t)v << (16 * half); }
static inline float number_f32(uint32_t bits, int half) {
    float v;
    (void)half;
    memcpy(&v, &bits, 4);
    return v;
}
static inline uint16_t number_bf16(uint32_t bits, int half) { return (uint16_t)(bits >> (16 * half)); }

/* 64 bytes to where nothing is read soon: past the caches if they are a whole line there. */
static inline void write_line(void *to, const void *from, int whole) {
#ifdef __AVX512F__
    if (whole) {
        _mm512_stream_si512(to, _mm512_loadu_si512(from));
        return;
    }
#endif
    (void)whole;
    memcpy(to, from, 64);
}

/* Lines written so far are there for every thread. */
static inline void settle_lines(void) {
#ifdef __AVX512F__
    _mm_sfence();
#endif
}

static void *buffer(int64_t vectors) { return aligned_alloc(64, (size_t)(vectors > 0 ? vectors : 1) * 64); }

/* --- the inner loops, for tiles of 1, 2 and 4 units --- */

#define INNER(name, units)                                                                                          \
    /* out[i] = sum over the non-zeros k of row i of values[k] * tile[index[k]], for `rows` rows. */                \
    static inline void product_##name##_##units(vec *restrict out, const word *restrict tile,                       \
                                                const float *restrict values, const int32_t *restrict start,        \
                                                const int32_t *restrict index, int rows) {                          \
        enum { many = units * HALVES_##name };                                                                      \
        for (int i = 0; i < rows; i++) {                                                                            \
            vec sum[many], part[many];                                                                              \
            for (int b = 0; b < many; b++) sum[b] = (vec){0};                                                       \
            for (int32_t k = start[i]; k < start[i + 1]; k++) {                                                     \
                const word *from = tile + (int64_t)index[k] * units;                                                \
                const float value = values[k];                                                                      \
                _Pragma("GCC unroll 4") for (int u = 0; u < units; u++)                                             \
                    open_##name(part + u * HALVES_##name, from[u]);                                                 \
                _Pragma("GCC unroll 8") for (int b = 0; b < many; b++) sum[b] += part[b] * value;                   \
            }                                                                                                       \
            for (int b = 0; b < many; b++) out[i * many + b] = sum[b];                                              \
        }                                                                                                           \
    }                                                                                                               \
    /* dw[k] += left[row of k] . right[col[k]] over the tokens of a tile; sixteen dot products fold at once. */     \
    static inline void dots_##name##_##units(float *restrict dw, const word *restrict left,                         \
                                             const word *restrict right, const int32_t *restrict crow,              \
                                             const int32_t *restrict col, int64_t rows) {                           \
        vec waiting[LANES];                                                                                         \
        int filled = 0;                                                                                             \
        int32_t first = 0;                                                                                          \
        for (int64_t i = 0; i < rows; i++) {                                                                        \
            for (int32_t k = crow[i]; k < crow[i + 1]; k++) {                                                       \
                const word *from = right + (int64_t)col[k] * units;                                                 \
                vec sum = {0};                                                                                      \
                _Pragma("GCC unroll 4") for (int u = 0; u < units; u++)                                             \
                    sum = dot_##name(sum, left[i * units + u], from[u]);                                            \
                waiting[filled++] = sum;                                                                            \
                if (filled == LANES) {                                                                              \
                    *(loose *)(dw + first) = (loose)((vec) * (loose *)(dw + first) + row_sums(waiting));            \
                    first += LANES, filled = 0;                                                                     \
                }                                                                                                   \
            }                                                                                                       \
        }                                                                                                           \
        for (int i = 0; i < filled; i++)                                                                            \
            for (int lane = 0; lane < LANES; lane++) dw[first + i] += waiting[i][lane];                             \
    }
INNER(f32, 1)
INNER(f32, 2)
INNER(f32, 4)
INNER(bf16, 1)
INNER(bf16, 2)
INNER(bf16, 4)

/* --- everything else, once a type. Returns 0; 1: no memory; 2: the indices do not fit --- */

#define FOR_TYPE(T, name)                                                                                           \
    /* Tokens of a unit, and features in 64 bytes: whole lines are written, for with a power of two between tokens */\
    /* the second half of a line would find the first gone from the cache. */                                       \
    enum { unit_tokens_##name = LANES * HALVES_##name, line_##name = 64 / sizeof(T) };                              \
    static void product_##name(int units, vec *out, const word *tile, const float *values, const int32_t *start,    \
                               const int32_t *index, int rows) {                                                    \
        if (units == 1) product_##name##_1(out, tile, values, start, index, rows);                                  \
        else if (units == 2) product_##name##_2(out, tile, values, start, index, rows);                             \
        else product_##name##_4(out, tile, values, start, index, rows);                                             \
    }                                                                                                               \
    static void dots_##name(int units, float *dw, const word *left, const word *right, const int32_t *crow,         \
                            const int32_t *col, int64_t rows) {                                                     \
        if (units == 1) dots_##name##_1(dw, left, right, crow, col, rows);                                          \
        else if (units == 2) dots_##name##_2(dw, left, right, crow, col, rows);                                     \
        else dots_##name##_4(dw, left, right, crow, col, rows);                                                     \
    }                                                                                                               \
    /* tile[f * units + u] = feature f of unit u's tokens; tokens at or beyond `tokens` count as zero. */           \
    static void gather_##name(word *restrict tile, const T *restrict from, int64_t tokens, int64_t features,        \
                              int units) {                                                                          \
        for (int u = 0; u < units; u++) {                                                                           \
            const int64_t here = tokens - (int64_t)u * unit_tokens_##name;                                          \
            const T *base = from + (int64_t)u * unit_tokens_##name * features;                                      \
            int64_t f = 0;                                                                                          \
            if (here >= unit_tokens_##name)                                                                         \
                for (; f + LANES <= features; f += LANES) {                                                         \
                    word r[LANES];                                                                                  \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                        \
                        r[i] = load_##name(base + i * features + f, features);                                      \
                    transpose(r);                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) tile[(f + i) * units + u] = r[i];      \
                }                                                                                                   \
            for (; f < features; f++) {                                                                             \
                word v = {0};                                                                                       \
                for (int t = 0; t < unit_tokens_##name && t < here; t++)                                            \
                    v[t % LANES] |= bits_##name(base[t * features + f], t / LANES);                                 \
                tile[f * units + u] = v;                                                                            \
            }                                                                                                       \
        }                                                                                                           \
    }                                                                                                               \
    /* The way back for `rows` features that lie at to[token][0 ...]: one unit of tokens at a time, so that few */  \
    /* rows of `to` are written at once (their pages stay in the translation buffer). */                            \
    static void scatter_##name(T *restrict to, const vec *restrict from, int64_t tokens, int64_t features,          \
                               int units, int rows) {                                                               \
        const int many = units * HALVES_##name;                                                                     \
        const int whole = ((uintptr_t)to | (uintptr_t)features * sizeof(T)) % 64 == 0;                              \
        for (int u = 0; u < units; u++) {                                                                           \
            const int64_t here = tokens - (int64_t)u * unit_tokens_##name;                                          \
            const vec *mine = from + u * HALVES_##name;                                                             \
            T *base = to + (int64_t)u * unit_tokens_##name * features;                                              \
            int f = 0;                                                                                              \
            if (here >= unit_tokens_##name)                                                                         \
                for (; f + line_##name <= rows; f += line_##name) {                                                 \
                    T lines[unit_tokens_##name * line_##name];                                                      \
                    for (int part = 0; part < line_##name; part += LANES) {                                         \
                        word r[LANES];                                                                              \
                        _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                    \
                            r[i] = close_##name(mine + (f + part + i) * many);                                      \
                        transpose(r);                                                                               \
                        _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                    \
                            store_##name(lines + i * line_##name + part, line_##name, r[i]);                        \
                    }                                                                                               \
                    for (int t = 0; t < unit_tokens_##name; t++)                                                    \
                        write_line(base + t * features + f, lines + t * line_##name, whole);                        \
                }                                                                                                   \
            for (; f < rows; f++) {                                                                                 \
                const word v = close_##name(mine + f * many);                                                       \
                for (int t = 0; t < unit_tokens_##name && t < here; t++)                                            \
                    base[t * features + f] = number_##name(v[t % LANES], t / LANES);                                \
            }                                                                                                       \
        }                                                                                                           \
    }                                                                                                               \
    static void multiply_##name(T *to, const word *tile, const float *values, const int32_t *start,                 \
                                const int32_t *index, int64_t tokens, int64_t features, int units) {                \
        vec part[PART];                                                                                             \
        const int most = PART / (units * HALVES_##name);                                                            \
        for (int64_t f = 0; f < features; f += most) {                                                              \
            const int rows = features - f < most ? (int)(features - f) : most;                                      \
            product_##name(units, part, tile, values, start + f, index, rows);                                      \
            scatter_##name(to + f, part, tokens, features, units, rows);                                            \
        }                                                                                                           \
        settle_lines();                                                                                             \
    }                                                                                                               \
    int forward_##name(const T *x, const float *values, const int32_t *crow, const int32_t *col, T *y,              \
                       int64_t count, int64_t tokens, int64_t in, int64_t out, int units) {                         \
        if (crow[out] != count) return 2;                                                                           \
        word *tile = buffer(in * units);                                                                            \
        float *rounded = buffer((count + LANES - 1) / LANES);                                                       \
        const int failed = !tile || !rounded;                                                                       \
        if (!failed) {                                                                                              \
            take_##name(rounded, values, NULL, count);                                                              \
            for (int64_t t = 0; t < tokens; t += (int64_t)units * unit_tokens_##name) {                             \
                gather_##name(tile, x + t * in, tokens - t, in, units);                                             \
                multiply_##name(y + t * out, tile, rounded, crow, col, tokens - t, out, units);                     \
            }                                                                                                       \
        }                                                                                                           \
        free(tile), free(rounded);                                                                                  \
        return failed;                                                                                              \
    }                                                                                                               \
    int backward_##name(const T *g, const T *x, const float *values, const int32_t *crow, const int32_t *col,       \
                        const int32_t *crow_t, const int32_t *row_t, const int32_t *order, T *dx, float *dw,        \
                        int64_t count, int64_t tokens, int64_t in, int64_t out, int units) {                        \
        if (crow[out] != count || crow_t[in] != count) return 2;                                                    \
        word *x_tile = buffer(in * units), *g_tile = buffer(out * units);                                           \
        float *rounded = buffer((count + LANES - 1) / LANES);                                                       \
        const int failed = !x_tile || !g_tile || !rounded;                                                          \
        if (!failed) {                                                                                              \
            take_##name(rounded, values, order, count);                                                             \
            memset(dw, 0, (size_t)count * sizeof(float));                                                           \
            for (int64_t t = 0; t < tokens; t += (int64_t)units * unit_tokens_##name) {                             \
                gather_##name(g_tile, g + t * out, tokens - t, out, units);                                         \
                multiply_##name(dx + t * in, g_tile, rounded, crow_t, row_t, tokens - t, in, units);                \
                gather_##name(x_tile, x + t * in, tokens - t, in, units);                                           \
                dots_##name(units, dw, g_tile, x_tile, crow, col, out);                                             \
            }                                                                                                       \
            take_##name(dw, dw, NULL, count);                                                                       \
        }                                                                                                           \
        free(x_tile), free(g_tile), free(rounded);                                                                  \
        return failed;                                                                                              \
    }

FOR_TYPE(float, f32)
FOR_TYPE(uint16_t, bf16)
