/* What runs for every text; `kernel.c` includes this once for each kind of processor that it has loops for, with `TARGET`
   (how to compile a function for it), `NAMED` (what to call it) and `WIDE` (whether it has AVX2). */

/* ---- words ---- */

#if WIDE
typedef __m256i NAMED(Bytes);
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
#elif defined(__SSE2__)
typedef __m128i NAMED(Bytes);
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

#ifdef BLOCK
/* Which bytes are among `number` from `first` on; comparison is signed, so the range is moved to the lowest numbers. */
INLINE TARGET NAMED(Bytes) NAMED(among)(NAMED(Bytes) bytes, int first, int number) {
    return LESS(SUM(bytes, EACH(128 - first)), EACH(number - 128));
}

/* Writes the places of the bits, of which there may be eight too many, and returns how many there are. */
INLINE TARGET size_t NAMED(places)(uint64_t bits, size_t base, size_t *out) {
    size_t count = (size_t)__builtin_popcountll(bits);
    for (size_t i = 0; i < count; i += 8) /* without a branch for each */
        for (int j = 0; j < 8; j++) {
            out[i + j] = base + (size_t)__builtin_ctzll(bits | (uint64_t)1 << 63);
            bits &= bits - 1;
        }
    return count;
}

/* Finds the first words of an ASCII text, which it lower-cases where it stands, 64 bytes at a time. */
INLINE TARGET size_t NAMED(split)(const Model *model, Work *work, Text text) {
    size_t starts = 0, ends = 0;
    uint64_t word_before = 0, sign_before = 0; /* the last bit of the block before */
    for (size_t base = 0; base <= text.size && ends < model->max_length; base += 64) {
        char padded[64], *to = work->lowered + base;
        const char *from = text.data + base;
        size_t over = base + 64 > text.size ? base + 64 - text.size : 0;
        if (over && text.size >= 64) { /* the last 64 bytes, some of which were seen before */
            from -= over;
            to -= over;
        } else if (over) {
            memset(padded, ' ', 64);
            memcpy(padded, from, text.size - base);
            from = padded;
        }
        uint64_t word = 0, space = 0;
        for (int i = 0; i < 64; i += BLOCK) {
            NAMED(Bytes) bytes = LOAD(from + i);
            bytes = EITHER(bytes, BOTH(NAMED(among)(bytes, 'A', 26), EACH(32)));
            STORE(to + i, bytes);
            NAMED(Bytes) letters = EITHER(NAMED(among)(bytes, 'a', 26), NAMED(among)(bytes, '0', 10));
            NAMED(Bytes) spaces = EITHER(NAMED(among)(bytes, 9, 5), NAMED(among)(bytes, 28, 5));
            word |= MASK(EITHER(letters, SAME(bytes, EACH('_')))) << i;
            space |= MASK(spaces) << i;
        }
        if (over && text.size >= 64) {
            word = over < 64 ? word >> over : 0;
            space = over < 64 ? space >> over | ~(uint64_t)0 << (64 - over) : ~(uint64_t)0;
        }
        uint64_t sign = ~(word | space), after_word = word << 1 | word_before, after_sign = sign << 1 | sign_before;
        starts += NAMED(places)((word & ~after_word) | sign, base, work->starts + starts);
        ends += NAMED(places)((~word & after_word) | after_sign, base, work->ends + ends);
        word_before = word >> 63;
        sign_before = sign >> 63;
    }
    return ends < model->max_length ? ends : model->max_length;
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
#else
#define split_plain split_any
#endif

/* A word of at most 15 bytes as two numbers; there is room to read behind it. */
INLINE TARGET void NAMED(pack)(const char *word, size_t size, uint64_t *low, uint64_t *high) {
    memcpy(low, word, 8);
    memcpy(high, word + 8, 8);
    *low &= low_mask[size];
    *high = (*high & high_mask[size]) | (uint64_t)size << 56;
}

/* Looks up the words of a text, and then its runs of words; returns how many rows. Room is there. */
INLINE TARGET size_t NAMED(encode)(const Model *model, Work *work, Text text) {
    size_t count = text.ascii ? NAMED(split)(model, work, text) : split_any(model, work, text);
    if (!count) return work->ids[0] = 0, 1;
    /* Nothing here points to the same place, which the compiler cannot know. */
    const char *restrict lowered = work->lowered;
    const size_t *restrict starts = work->starts, *restrict ends = work->ends;
    uint32_t *restrict ids = work->ids, *restrict places = work->places;
    Shorts shorts = model->shorts;
    Short *restrict seen = work->seen;
    for (size_t i = 0; i < count; i++) {
        size_t size = ends[i] - starts[i];
        const char *word = lowered + starts[i];
        Found found;
        if (!LOW_FIRST || size > 15 || !(shorts.words || seen)) {
            found = find(model, word, size);
        } else {
            uint64_t low, high;
            NAMED(pack)(word, size, &low, &high);
            uint64_t hash = hash_of(low, high);
            if (shorts.words) { /* a word is in its one slot, or not known: no branch to foretell */
                const Short *at = shorts.words + slot_of_short(&shorts, hash);
                uint32_t same = -(uint32_t)((at->low == low) & (at->high == high));
                found = (Found){at->found.row & same, at->found.place & same};
            } else {
                Short *at = seen + (hash >> (64 - SEEN_LOG2));
                if (at->low != low || at->high != high) *at = (Short){low, high, find(model, word, size)};
                found = at->found;
            }
        }
        ids[i] = found.row;
        places[i] = found.place;
    }
    return model->longest > 1 ? add_runs(model, work, count) : count;
}

/* ---- networks ---- */

INLINE TARGET Floats NAMED(largest)(Floats a, Floats b) {
#if WIDE
    return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
    Ints first = a > b;
    return (Floats)((first & (Ints)a) | (~first & (Ints)b));
#endif
}

/* 2 to the x, to about one part in ten million; x is cut to what floats can hold. */
INLINE TARGET Floats NAMED(power)(Floats x) {
    x = NAMED(largest)(x, (Floats){} - 126.0f);
    x = -NAMED(largest)(-x, (Floats){} - 126.0f);
    Floats shifted = x + 12583039.0f; /* its low bits are 127 and x, rounded: the exponent of the result */
    x -= shifted - 12583039.0f;       /* what is left, from -0.5 to 0.5 */
    Floats y = x * 1.535336188e-4f + 1.339887440e-3f; /* Cephes' exp2f */
    y = y * x + 9.618437358e-3f;
    y = y * x + 5.550332471e-2f;
    y = y * x + 2.402264791e-1f;
    y = y * x + 6.931472029e-1f;
    y = y * x + 1.0f;
    return y * (Floats)((Ints)shifted << 23);
}

/* Gates come as multiples of the logarithm of e to the base 2, see `fast.py`: -1 for a sigmoid, 2 for a tangent. */
INLINE TARGET Floats NAMED(sigmoid)(Floats x) { return 1.0f / (1.0f + NAMED(power)(x)); }

INLINE TARGET Floats NAMED(tangent)(Floats x) { return 1.0f - 2.0f / (1.0f + NAMED(power)(x)); }

INLINE TARGET Floats *NAMED(at)(const float *values) { return (Floats *)values; }

INLINE TARGET void NAMED(classify)(const Model *model, const float *features, int count, const float *head,
                                   const float *bias, float *logits) {
    for (int i = 0; i < model->width; i += LANES) {
        Floats sum = *NAMED(at)(bias + i);
        for (int k = 0; k < count; k++) sum += features[k] * *NAMED(at)(head + k * model->width + i);
        *NAMED(at)(logits + i) = sum;
    }
}

/* The sum of rows of a table, each times its share. */
INLINE TARGET void NAMED(sum)(const float *table, int width, const uint32_t *ids, const float *shares, size_t count,
                              float *total) {
    for (int i = 0; i < width; i += LANES) {
        Floats even = {0}, odd = {0}; /* two sums, since each addition waits for the last */
        for (size_t t = 0; t < count; t += 2) {
            Floats row = *NAMED(at)(table + (size_t)ids[t] * width + i);
            even += shares ? row * shares[t] : row * 1.0f;
            if (t + 1 == count) break;
            row = *NAMED(at)(table + (size_t)ids[t + 1] * width + i);
            odd += shares ? row * shares[t + 1] : row * 1.0f;
        }
        *NAMED(at)(total + i) = even + odd;
    }
}

INLINE TARGET void NAMED(mean)(const Model *model, float total, float *logits) {
    for (int i = 0; i < model->width; i += LANES)
        *NAMED(at)(logits + i) = *NAMED(at)(logits + i) / total + *NAMED(at)(model->weights[1] + i);
}

INLINE TARGET void NAMED(attention)(const Model *model, const uint32_t *ids, size_t count, float *scores,
                                    float *logits) {
    const float *weight = model->weights[2];
    float most = -INFINITY, total = 0;
    for (size_t t = 0; t < count; t++) {
        scores[t] = 0;
        for (size_t i = t < 2 ? 2 - t : 0; i < 5 && t + i < count + 2; i++)
            scores[t] += weight[ids[t + i - 2] * LANES + i];
        most = scores[t] > most ? scores[t] : most;
    }
    for (size_t t = 0; t < count; t += LANES) /* there is room behind */
        *NAMED(at)(scores + t) = NAMED(power)((*NAMED(at)(scores + t) - most) * LOG2_E);
    for (size_t t = 0; t < count; t++) total += scores[t];
    NAMED(sum)(model->weights[0], model->width, ids, scores, count, logits);
    NAMED(mean)(model, total, logits);
}

INLINE TARGET void NAMED(convolution)(const Model *model, const uint32_t *ids, size_t count, float *most,
                                      float *logits) {
    const float *table = model->weights[0];
    size_t cells = model->cells;
    for (size_t i = 0; i < cells; i += LANES) {
        Floats high = {0}; /* the least that a rectifier gives */
        Floats bias = *NAMED(at)(model->weights[1] + i), before = bias;
        for (size_t t = 0; t < count; t++) {
            const float *word = table + ids[t] * 3 * cells + i;
            Floats value = before + *NAMED(at)(word + cells);
            before = bias + *NAMED(at)(word);
            if (t + 1 < count) value += *NAMED(at)(table + ids[t + 1] * 3 * cells + 2 * cells + i);
            high = NAMED(largest)(high, value);
        }
        *NAMED(at)(most + i) = high;
    }
    NAMED(classify)(model, most, model->hidden, model->weights[2], model->weights[3], logits);
}

/* What the last outputs of both directions bring to their gates: tiles of sums that stay in registers. */
INLINE TARGET void NAMED(gates)(const float *kernel, const float *output, int hidden, int cells, int parts, int tile,
                                float *gate) {
    int width = parts * cells;
    const float *back = kernel + (size_t)hidden * width;
    for (int from = 0; from < width; from += tile * LANES) {
        Floats sums[16] = {0};
        for (int k = 0; k < hidden; k++)
            for (int i = 0; i < tile; i++) {
                sums[i] += output[k] * *NAMED(at)(kernel + k * width + from + i * LANES);
                sums[tile + i] += output[cells + k] * *NAMED(at)(back + k * width + from + i * LANES);
            }
        for (int i = 0; i < tile; i++) {
            *NAMED(at)(gate + from + i * LANES) = sums[i];
            *NAMED(at)(gate + width + from + i * LANES) = sums[tile + i];
        }
    }
}

/* A recurrent network in both directions, at once: each waits for its own last step only. */
INLINE TARGET void NAMED(recurrence)(const Model *model, const uint32_t *ids, size_t count, float *scratch,
                                     float *logits, int parts, int cells, int tile) {
    const float *table = model->weights[0];
    int width = parts * cells;
    float *output = scratch, *memory = output + 2 * cells, *most = memory + 2 * cells, *gate = most + 2 * cells;
    for (int i = 0; i < 4 * cells; i++) scratch[i] = 0;
    for (int i = 0; i < 2 * cells; i++) most[i] = -1; /* outputs lie above */
    for (size_t t = 0; t < count; t++) {
        NAMED(gates)(model->weights[1], output, model->hidden, cells, parts, tile, gate);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < cells; i += LANES) {
                /* By gate: what the word brings, and what the last outputs bring. */
                const float *word = table + ((size_t)ids[side ? count - 1 - t : t] * 2 + side) * width + i;
                const float *last = gate + side * width + i;
                Floats part[4], *state = NAMED(at)(output + side * cells + i);
                for (int j = 0; j < parts; j++) part[j] = *NAMED(at)(word + j * cells);
                if (parts == 3) { /* GRU */
                    Floats reset = NAMED(sigmoid)(part[0] + *NAMED(at)(last));
                    Floats kept = NAMED(sigmoid)(part[1] + *NAMED(at)(last + cells));
                    Floats bias = *NAMED(at)(model->weights[2] + side * cells + i);
                    Floats new = NAMED(tangent)(part[2] + reset * (*NAMED(at)(last + 2 * cells) + bias));
                    *state = new + kept * (*state - new);
                } else { /* LSTM */
                    Floats *kept = NAMED(at)(memory + side * cells + i);
                    for (int j = 0; j < parts; j++) part[j] += *NAMED(at)(last + j * cells);
                    *kept = NAMED(sigmoid)(part[1]) * *kept + NAMED(sigmoid)(part[0]) * NAMED(tangent)(part[2]);
                    *state = NAMED(sigmoid)(part[3]) * NAMED(tangent)(*kept * (2 * LOG2_E));
                }
                Floats *high = NAMED(at)(most + side * cells + i);
                *high = NAMED(largest)(*state, *high);
            }
    }
    NAMED(classify)(model, most, 2 * cells, model->weights[3], model->weights[4], logits);
}

/* Scores a text; widths that the compiler knows make small networks twice as fast. */
INLINE TARGET void NAMED(forward)(const Model *model, const uint32_t *ids, size_t count, float *scratch,
                                  float *logits) {
    switch (model->architecture) {
    case MLP:
        if (model->width == LANES)
            NAMED(sum)(model->weights[0], LANES, ids, NULL, count, logits);
        else
            NAMED(sum)(model->weights[0], model->width, ids, NULL, count, logits);
        NAMED(mean)(model, (float)count, logits);
        break;
    case ATTENTION:
        NAMED(attention)(model, ids, count, scratch, logits);
        break;
    case CNN:
        NAMED(convolution)(model, ids, count, scratch, logits);
        break;
    case BIGRU:
        if (model->cells == LANES)
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, LANES, 3);
        else if (model->cells == 2 * LANES)
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, 2 * LANES, 6);
        else
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, model->cells, 3);
        break;
    default:
        NAMED(recurrence)(model, ids, count, scratch, logits, 4, model->cells, 4);
    }
}

/* From logits to probabilities, in place; there is room for a whole vector. */
INLINE TARGET void NAMED(softmax)(const Model *model, float *logits) {
    float total = 0, most = logits[0];
    for (int i = 1; i < model->classes; i++) most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < model->width; i += LANES)
        *NAMED(at)(logits + i) = NAMED(power)((*NAMED(at)(logits + i) - most) * LOG2_E);
    for (int i = 0; i < model->classes; i++) total += logits[i];
    for (int i = 0; i < model->classes; i++) logits[i] /= total;
}

/* Scores texts into `out`, without the GIL; false if memory runs out. */
TARGET static int NAMED(score)(const Model *model, Work *work, const Text *texts, size_t count, int output, char *out) {
    float *logits = work->scratch, *scratch = work->scratch + model->width;
    for (size_t i = 0; i < count; i++) {
        if (!make_room(work, texts[i].size)) return 0;
        size_t rows = NAMED(encode)(model, work, texts[i]);
        NAMED(forward)(model, work->ids, rows, scratch, logits);
        if (output == CLASSES) {
            int64_t most = 0;
            float highest = logits[0];
            for (int j = 1; j < model->classes; j++) { /* without a branch for each */
                int64_t higher = -(int64_t)(logits[j] > highest);
                highest = logits[j] > highest ? logits[j] : highest;
                most = (most & ~higher) | (j & higher);
            }
            memcpy(out, &most, sizeof most);
        } else {
            if (output == PROBABILITIES) NAMED(softmax)(model, logits);
            memcpy(out, logits, model->classes * sizeof(float));
        }
        out += item_size(model, output);
    }
    return 1;
}
