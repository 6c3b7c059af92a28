/* The loops that run for every text. `kernel.c` includes this file once per instruction set, with `TARGET` (an attribute to
   compile a function for it), `VARIANT` (which names the function) and `WIDE` (1 with AVX2, 2 with AVX-512 and VBMI2). */

/* ---- words ---- */

#if WIDE == 2
#define EACH(byte) _mm512_set1_epi8((char)(byte))
#define AMONG(bytes, first, number) _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, EACH(first)), EACH(number))

/* Lower-cases 64 bytes of an ASCII text, padded with spaces, and marks which are of words and which are spaces. */
INLINE TARGET void VARIANT(read)(Text text, size_t base, char *to, uint64_t *word, uint64_t *space) {
    size_t left = text.size - base;
    __mmask64 there = left < 64 ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0;
    __m512i bytes = _mm512_mask_loadu_epi8(EACH(' '), there, text.data + base);
    bytes = _mm512_mask_add_epi8(bytes, AMONG(bytes, 'A', 26), bytes, EACH(32));
    _mm512_storeu_si512(to, bytes);
    *word = AMONG(bytes, 'a', 26) | AMONG(bytes, '0', 10) | _mm512_cmpeq_epi8_mask(bytes, EACH('_'));
    *space = AMONG(bytes, 9, 5) | AMONG(bytes, 28, 5);
}

/* Writes the positions of the bits that are set, and up to 16 more, and returns how many are set. */
INLINE TARGET size_t VARIANT(positions)(uint64_t bits, size_t base, size_t *out) {
    size_t count = (size_t)__builtin_popcountll(bits);
    __m512i found = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(zero_to_63));
    for (size_t i = 0; i < count; i += 16) /* hardly ever more than once */
        for (int j = 0; j < 16; j += 8) {
            __m512i eight = _mm512_cvtepu8_epi64(_mm512_castsi512_si128(found));
            _mm512_storeu_si512(out + i + j, _mm512_add_epi64(eight, _mm512_set1_epi64((int64_t)base)));
            found = _mm512_alignr_epi64(found, found, 1);
        }
    return count;
}

#undef EACH
#undef AMONG
#elif WIDE || defined(__SSE2__)
#if WIDE
typedef __m256i VARIANT(Bytes);
#define BLOCK 32
#define LOAD(at) _mm256_loadu_si256((const __m256i *)(at))
#define STORE(at, bytes) _mm256_storeu_si256((__m256i *)(at), bytes)
#define EACH(byte) _mm256_set1_epi8((char)(byte))
#define EITHER(a, b) _mm256_or_si256(a, b)
#define BOTH(a, b) _mm256_and_si256(a, b)
#define SUM(a, b) _mm256_add_epi8(a, b)
#define SAME(a, b) _mm256_cmpeq_epi8(a, b)
#define LESS(a, b) _mm256_cmpgt_epi8(b, a)
#define MASK(bytes) (uint64_t)(uint32_t) _mm256_movemask_epi8(bytes)
#else
typedef __m128i VARIANT(Bytes);
#define BLOCK 16
#define LOAD(at) _mm_loadu_si128((const __m128i *)(at))
#define STORE(at, bytes) _mm_storeu_si128((__m128i *)(at), bytes)
#define EACH(byte) _mm_set1_epi8((char)(byte))
#define EITHER(a, b) _mm_or_si128(a, b)
#define BOTH(a, b) _mm_and_si128(a, b)
#define SUM(a, b) _mm_add_epi8(a, b)
#define SAME(a, b) _mm_cmpeq_epi8(a, b)
#define LESS(a, b) _mm_cmplt_epi8(a, b)
#define MASK(bytes) (uint64_t)(uint32_t) _mm_movemask_epi8(bytes)
#endif

/* Which bytes are among `number` from `first` on; comparison is signed, so the range is moved to the lowest numbers. */
INLINE TARGET VARIANT(Bytes) VARIANT(among)(VARIANT(Bytes) bytes, int first, int number) {
    return LESS(SUM(bytes, EACH(128 - first)), EACH(number - 128));
}

/* Lower-cases 64 bytes of an ASCII text, padded with spaces, and marks which are of words and which are spaces. */
INLINE TARGET void VARIANT(read)(Text text, size_t base, char *to, uint64_t *word, uint64_t *space) {
    char padded[64];
    const char *from = text.data + base;
    size_t over = base + 64 > text.size ? base + 64 - text.size : 0;
    if (over && text.size >= 64) { /* the last 64 bytes, some of them again */
        from -= over;
        to -= over;
    } else if (over) {
        memset(padded, ' ', 64);
        memcpy(padded, from, text.size - base);
        from = padded;
    }
    *word = *space = 0;
    for (int i = 0; i < 64; i += BLOCK) {
        VARIANT(Bytes) bytes = LOAD(from + i);
        bytes = EITHER(bytes, BOTH(VARIANT(among)(bytes, 'A', 26), EACH(32)));
        STORE(to + i, bytes);
        VARIANT(Bytes) letters = EITHER(VARIANT(among)(bytes, 'a', 26), VARIANT(among)(bytes, '0', 10));
        VARIANT(Bytes) spaces = EITHER(VARIANT(among)(bytes, 9, 5), VARIANT(among)(bytes, 28, 5));
        *word |= MASK(EITHER(letters, SAME(bytes, EACH('_')))) << i;
        *space |= MASK(spaces) << i;
    }
    if (over && text.size >= 64) {
        *word = over < 64 ? *word >> over : 0;
        *space = over < 64 ? *space >> over | ~(uint64_t)0 << (64 - over) : ~(uint64_t)0;
    }
}

/* Writes the positions of the bits that are set, and up to eight more, and returns how many are set. */
INLINE TARGET size_t VARIANT(positions)(uint64_t bits, size_t base, size_t *out) {
    size_t count = (size_t)__builtin_popcountll(bits);
    for (size_t i = 0; i < count; i += 8) /* without a branch for each */
        for (int j = 0; j < 8; j++) {
            out[i + j] = base + (size_t)__builtin_ctzll(bits | (uint64_t)1 << 63);
            bits &= bits - 1;
        }
    return count;
}

#undef BLOCK
#undef LOAD
#undef STORE
#undef EACH
#undef EITHER
#undef BOTH
#undef SUM
#undef SAME
#undef LESS
#undef MASK
#endif

#if WIDE || defined(__SSE2__)
/* Finds the first words of an ASCII text, which it lower-cases, 64 bytes at a time; see `split_any`. */
NOINLINE TARGET size_t VARIANT(split)(const Model *model, char *lowered, size_t at, Text text, size_t *first_start,
                                 size_t *first_end) {
    size_t starts = 0, ends = 0;
    uint64_t word_before = 0, symbol_before = 0; /* the last bit of the block before */
    for (size_t base = 0; base <= text.size && ends < model->max_length; base += 64) {
        uint64_t word, space;
        VARIANT(read)(text, base, lowered + at + base, &word, &space);
        uint64_t symbol = ~(word | space), after_word = word << 1 | word_before, after_symbol = symbol << 1 | symbol_before;
        starts += VARIANT(positions)((word & ~after_word) | symbol, at + base, first_start + starts);
        ends += VARIANT(positions)((~word & after_word) | after_symbol, at + base, first_end + ends);
        word_before = word >> 63;
        symbol_before = symbol >> 63;
    }
    return ends < model->max_length ? ends : model->max_length;
}
#else
#define split_plain split_any
#endif

/* Looks up words among the short ones; true if there are longer words, which it leaves unknown. `restrict`: no arguments
   overlap. */
NOINLINE TARGET size_t VARIANT(look_up_short)(const Model *model, const char *restrict lowered, const size_t *restrict starts,
                                         const size_t *restrict ends, size_t count, Entry *restrict found) {
    const Shorts shorts = model->shorts; /* a copy, so that it stays in registers */
    size_t any = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = ends[i] - starts[i];
        any |= size + 15;
        found[i] = find_short(&shorts, lowered + starts[i], size % 32);
    }
    return any >= 32;
}

/* Looks up words. */
INLINE TARGET void VARIANT(look_up)(const Model *model, Work *work, size_t count) {
    int all = has_shorts(model);
    if (all && !VARIANT(look_up_short)(model, work->lowered, work->starts, work->ends, count, work->found)) return;
    for (size_t i = 0; i < count; i++) {
        const char *word = work->lowered + work->starts[i];
        size_t size = work->ends[i] - work->starts[i];
        if (all && size <= 16) continue;
        if (LITTLE_ENDIAN_CPU && work->cache && size <= 16) {
            uint64_t low, high;
            pack(word, size, &low, &high);
            Short *at = work->cache + (hash_of(low, high, secret) >> (64 - CACHE_LOG2));
            if (at->low != low || at->high != high) *at = (Short){low, high, find(model, word, size)};
            work->found[i] = at->found;
        } else {
            work->found[i] = find(model, word, size);
        }
    }
}

/* ---- networks ---- */

INLINE TARGET Floats *VARIANT(at)(const float *values) { return (Floats *)values; }

INLINE TARGET void VARIANT(classify)(const Model *model, const float *features, int count, const float *head,
                                   const float *bias, float *logits) {
    for (int i = 0; i < model->width; i += LANES) {
        Floats sums[4] = {*VARIANT(at)(bias + i)}; /* four, since each addition waits for the one before */
        int k = 0;
        for (; k + 4 <= count; k += 4)
            for (int j = 0; j < 4; j++) sums[j] += features[k + j] * *VARIANT(at)(head + (k + j) * model->width + i);
        for (; k < count; k++) sums[0] += features[k] * *VARIANT(at)(head + k * model->width + i);
        *VARIANT(at)(logits + i) = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

#define NAME VARIANT
#define VECTOR(type) type
#define MOST_TILES 6 /* as many as registers hold, twice */
#if WIDE
#define LARGEST(a, b) _mm256_max_ps((__m256)a, (__m256)b)
#endif
#include "vectors.h"
#undef NAME
#undef VECTOR
#undef LARGEST
#undef MOST_TILES
#if WIDE == 2
#define NAME(name) VARIANT(wide_##name)
#define VECTOR(type) Wide##type
#define MOST_TILES 12
#define LARGEST(a, b) _mm512_max_ps((__m512)a, (__m512)b)
#include "vectors.h"
#undef NAME
#undef VECTOR
#undef LARGEST
#undef MOST_TILES
#endif

/* Sums rows of a table, each times its share. */
INLINE TARGET void VARIANT(sum)(const float *table, int width, const Entry *words, const float *shares, size_t count,
                              float *total) {
    for (int i = 0; i < width; i += LANES) {
        Floats even = {0}, odd = {0}; /* two, since each addition waits for the one before */
        for (size_t t = 0; t < count; t += 2) {
            Floats row = *VARIANT(at)(table + (size_t)words[t].row * width + i);
            even += shares ? row * shares[t] : row * 1.0f;
            if (t + 1 == count) break;
            row = *VARIANT(at)(table + (size_t)words[t + 1].row * width + i);
            odd += shares ? row * shares[t + 1] : row * 1.0f;
        }
        *VARIANT(at)(total + i) = even + odd;
    }
}

INLINE TARGET void VARIANT(mean)(const Model *model, float total, float *logits) {
    for (int i = 0; i < model->width; i += LANES)
        *VARIANT(at)(logits + i) = *VARIANT(at)(logits + i) / total + *VARIANT(at)(model->weights[1] + i);
}

INLINE TARGET void VARIANT(attention)(const Model *model, const Entry *words, size_t count, float *scores,
                                    float *logits) {
    const float *weight = model->weights[2];
    float most = -INFINITY, total = 0;
    for (size_t t = 0; t < count; t++) {
        scores[t] = 0;
        for (size_t i = t < 2 ? 2 - t : 0; i < 5 && t + i < count + 2; i++)
            scores[t] += weight[words[t + i - 2].row * LANES + i];
        most = scores[t] > most ? scores[t] : most;
    }
    for (size_t t = 0; t < count; t += LANES) /* `scores` is long enough */
        *VARIANT(at)(scores + t) = VARIANT(power)((*VARIANT(at)(scores + t) - most) * LOG2_E);
    for (size_t t = 0; t < count; t++) total += scores[t];
    VARIANT(sum)(model->weights[0], model->width, words, scores, count, logits);
    VARIANT(mean)(model, total, logits);
}

#define TILES (WIDE == 2 ? 6 : 3) /* as many as registers hold */

/* Convolves `tile` vectors of cells at once, whose state stays in registers. */
INLINE TARGET void VARIANT(convolve)(const float *table, const float *bias, size_t cells, const Entry *words, size_t count,
                                   int tile, float *most) {
    Floats start[TILES], high[TILES], left[TILES], middle[TILES];
    for (int i = 0; i < tile; i++) {
        high[i] = (Floats){0}; /* the minimum of a rectifier */
        left[i] = start[i] = *VARIANT(at)(bias + i * LANES);
        middle[i] = (Floats){} - INFINITY; /* there is no word before the first */
    }
    for (size_t t = 0; t < count; t++) {
        const float *word = table + (size_t)words[t].row * 3 * cells;
        for (int i = 0; i < tile; i++) {
            high[i] = VARIANT(largest)(high[i], middle[i] + *VARIANT(at)(word + 2 * cells + i * LANES));
            middle[i] = left[i] + *VARIANT(at)(word + cells + i * LANES);
            left[i] = start[i] + *VARIANT(at)(word + i * LANES);
        }
    }
    for (int i = 0; i < tile; i++) *VARIANT(at)(most + i * LANES) = VARIANT(largest)(high[i], middle[i]);
}

INLINE TARGET void VARIANT(convolution)(const Model *model, const Entry *words, size_t count, float *most,
                                      float *logits) {
    const float *table = model->weights[0], *bias = model->weights[1];
    size_t cells = model->cells, i = 0;
    for (; i + TILES * LANES <= cells; i += TILES * LANES)
        VARIANT(convolve)(table + i, bias + i, cells, words, count, TILES, most + i);
    for (; i < cells; i += LANES) VARIANT(convolve)(table + i, bias + i, cells, words, count, 1, most + i);
    VARIANT(classify)(model, most, model->hidden, model->weights[2], model->weights[3], logits);
}

/* Computes the logits of a text. */
NOINLINE TARGET void VARIANT(forward)(const Model *model, const Entry *words, size_t count, float *scratch,
                                  float *logits) {
    switch (model->architecture) {
    case MLP:
        if (model->width == LANES)
            VARIANT(sum)(model->weights[0], LANES, words, NULL, count, logits);
        else
            VARIANT(sum)(model->weights[0], model->width, words, NULL, count, logits);
        VARIANT(mean)(model, (float)count, logits);
        break;
    case ATTENTION:
        VARIANT(attention)(model, words, count, scratch, logits);
        break;
    case CNN:
        VARIANT(convolution)(model, words, count, scratch, logits);
        break;
    default:
#if WIDE == 2
        if (model->cells % (2 * LANES) == 0) {
            VARIANT(wide_recurrence_of)(model, words, count, scratch, logits);
            break;
        }
#endif
        VARIANT(recurrence_of)(model, words, count, scratch, logits);
    }
}

/* From logits to probabilities, in place; `logits` is padded to whole vectors. */
INLINE TARGET void VARIANT(softmax)(const Model *model, float *logits) {
    float total = 0, most = logits[0];
    for (int i = 1; i < model->classes; i++) most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < model->width; i += LANES)
        *VARIANT(at)(logits + i) = VARIANT(power)((*VARIANT(at)(logits + i) - most) * LOG2_E);
    for (int i = 0; i < model->classes; i++) total += logits[i];
    for (int i = 0; i < model->classes; i++) logits[i] /= total;
}

/* The index of the first of the largest logits, without branches. */
INLINE TARGET int64_t VARIANT(top)(const Model *model, const float *logits) {
#if WIDE
    if (model->width == LANES) {
        const Ints order = {0, 1, 2, 3, 4, 5, 6, 7};
        __m256 all = _mm256_loadu_ps(logits), lowest = _mm256_set1_ps(-INFINITY);
        all = _mm256_blendv_ps(lowest, all, (__m256)(order < model->classes));
        __m256 high = _mm256_max_ps(all, _mm256_permute2f128_ps(all, all, 1));
        high = _mm256_max_ps(high, _mm256_shuffle_ps(high, high, 0x4E));
        high = _mm256_max_ps(high, _mm256_shuffle_ps(high, high, 0xB1));
        return __builtin_ctz((unsigned)_mm256_movemask_ps(_mm256_cmp_ps(all, high, _CMP_EQ_OQ)) | 1u << (model->classes - 1));
    }
#endif
    int64_t most = 0;
    float highest = logits[0];
    for (int j = 1; j < model->classes; j++) {
        int64_t higher = -(int64_t)(logits[j] > highest);
        highest = logits[j] > highest ? logits[j] : highest;
        most = (most & ~higher) | (j & higher);
    }
    return most;
}

/* Writes what is asked for of a text. */
INLINE TARGET void VARIANT(answer)(const Model *model, const Entry *entries, size_t count, float *logits, int output,
                                   char *out) {
    if (output == CLASSES) {
        int64_t most = VARIANT(top)(model, logits);
        memcpy(out, &most, sizeof most);
        return;
    }
    if (output == PROBABILITIES) VARIANT(softmax)(model, logits);
    memcpy(out, logits, model->classes * sizeof(float));
    if (output == LOGITS_AND_RARE) {
        float share = share_of_rare(model, entries, count);
        memcpy(out + model->classes * sizeof share, &share, sizeof share);
    }
}

#if WIDE
/* Computes the logits of a group of texts. */
NOINLINE TARGET void VARIANT(forward_group)(const Model *model, const Entry *const *words, const size_t *counts,
                                            float *scratch, float *logits) {
#if WIDE == 2
    if (model->cells % (2 * LANES) == 0) {
        VARIANT(wide_recurrence_of_group)(model, words, counts, scratch, logits);
        return;
    }
#endif
    VARIANT(recurrence_of_group)(model, words, counts, scratch, logits);
}

/* Scores the texts of a batch in groups of similar length; false if memory runs out. */
NOINLINE TARGET int VARIANT(score_groups)(const Model *model, Work *work, const size_t *firsts, size_t number, int output,
                                          char *out) {
    size_t starts[BATCH], counts[BATCH], order[BATCH], used = 0;
    for (size_t i = 0; i < number; i++) {
        size_t count = firsts[i + 1] - firsts[i], at = i;
        const Entry *entries = entries_of(model, work, firsts[i], &count);
        if (!entries) return 0;
        work->batch = make_room(work->batch, &work->batch_room, (used + count) * sizeof *entries);
        if (!work->batch) return 0;
        memcpy(work->batch + used, entries, count * sizeof *entries);
        starts[i] = used;
        counts[i] = count;
        used += count;
        for (; at && counts[order[at - 1]] > count; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    for (size_t i = 0; i < number; i += GROUP) {
        const Entry *words[GROUP];
        size_t lengths[GROUP] = {0}, there = number - i < GROUP ? number - i : GROUP;
        for (size_t j = 0; j < there; j++) {
            words[j] = work->batch + starts[order[i + j]];
            lengths[j] = counts[order[i + j]];
        }
        float *logits = work->scratch;
        VARIANT(forward_group)(model, words, lengths, logits + GROUP * model->width, logits);
        for (size_t j = 0; j < there; j++)
            VARIANT(answer)(model, words[j], lengths[j], logits + j * model->width, output,
                            out + order[i + j] * item_size(model, output));
    }
    return 1;
}
#endif

/* Scores texts into `out`, called without the GIL; false if memory runs out. */
TARGET static int VARIANT(score)(const Model *model, Work *work, const Text *texts, size_t count, int output, char *out) {
    for (size_t next = 0; next < count;) {
        size_t number = 0, words = 0, used = 0, firsts[BATCH + 1];
        for (; number < BATCH && next + number < count; number++) {
            Text text = texts[next + number];
            size_t needed = (text.ascii ? 1 : 2) * text.size + 128; /* words of other texts are followed by spaces */
            if (number && (used + needed > work->room || words + model->max_length > work->max_words)) break;
            if (!(work->lowered = make_room(work->lowered, &work->room, used + needed))) return 0;
            size_t *starts = work->starts + words, *ends = work->ends + words;
            firsts[number] = words;
            words += text.ascii ? VARIANT(split)(model, work->lowered, used, text, starts, ends)
                                : split_any(model, work->lowered, used, text, starts, ends);
            used += needed;
        }
        firsts[number] = words;
        VARIANT(look_up)(model, work, words);
        next += number;
#if WIDE
        if (model->architecture == BIGRU && model->cells >= GROUP_CELLS && number > 1) {
            if (!VARIANT(score_groups)(model, work, firsts, number, output, out)) return 0;
            out += number * item_size(model, output);
            continue;
        }
#endif
        for (size_t i = 0; i < number; i++, out += item_size(model, output)) {
            size_t rows = firsts[i + 1] - firsts[i];
            const Entry *entries = entries_of(model, work, firsts[i], &rows);
            if (!entries) return 0;
            float *logits = work->scratch;
            VARIANT(forward)(model, entries, rows, logits + model->width, logits);
            VARIANT(answer)(model, entries, rows, logits, output, out);
        }
    }
    return 1;
}
