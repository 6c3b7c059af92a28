/* What `loops.h` does with vectors, once per width of these: `VECTOR` names the type, `NAME` the function, `MOST_TILES` is how
   many vectors of each direction registers hold, and `LARGEST` an instruction, if there is one. */

INLINE TARGET VECTOR(Floats) NAME(largest)(VECTOR(Floats) a, VECTOR(Floats) b) {
#ifdef LARGEST
    return (VECTOR(Floats))LARGEST(a, b);
#else
    VECTOR(Ints) first = a > b;
    return (VECTOR(Floats))((first & (VECTOR(Ints))a) | (~first & (VECTOR(Ints))b));
#endif
}

/* 2 to the x, with a relative error of about 1e-7; x is clipped to the range of floats. */
INLINE TARGET VECTOR(Floats) NAME(power)(VECTOR(Floats) x) {
    x = NAME(largest)(x, (VECTOR(Floats)){} - 126.0f);
    x = -NAME(largest)(-x, (VECTOR(Floats)){} - 126.0f);
    VECTOR(Floats) shifted = x + 12583039.0f; /* its low bits are 127 + x, rounded: the exponent of the result */
    x -= shifted - 12583039.0f;               /* the remainder, from -0.5 to 0.5 */
    VECTOR(Floats) y = x * 1.535336188e-4f + 1.339887440e-3f; /* Cephes' exp2f */
    y = y * x + 9.618437358e-3f;
    y = y * x + 5.550332471e-2f;
    y = y * x + 2.402264791e-1f;
    y = y * x + 6.931472029e-1f;
    y = y * x + 1.0f;
    return y * (VECTOR(Floats))((VECTOR(Ints))shifted << 23);
}

/* `fast.py` multiplies the inputs of gates by log2(e), times -1 for a sigmoid and 2 for a tangent. */
INLINE TARGET VECTOR(Floats) NAME(sigmoid)(VECTOR(Floats) x) { return 1.0f / (1.0f + NAME(power)(x)); }

INLINE TARGET VECTOR(Floats) NAME(tangent)(VECTOR(Floats) x) { return 1.0f - 2.0f / (1.0f + NAME(power)(x)); }

/* Multiplies the last states of both directions with the kernel, in tiles of sums that stay in registers. */
INLINE TARGET void NAME(gates)(const float *kernel, const float *states, int hidden, int cells, int tile, float *gates) {
    int width = 3 * cells, lanes = sizeof(VECTOR(Floats)) / sizeof(float);
    const float *back = kernel + (size_t)hidden * width;
    for (int from = 0; from < width; from += tile * lanes) {
        VECTOR(Floats) sums[2 * MOST_TILES] = {0};
        for (int k = 0; k < hidden; k++)
            for (int i = 0; i < tile; i++) {
                sums[i] += states[k] * *(const VECTOR(Floats) *)(kernel + k * width + from + i * lanes);
                sums[tile + i] += states[cells + k] * *(const VECTOR(Floats) *)(back + k * width + from + i * lanes);
            }
        for (int i = 0; i < tile; i++) {
            *(VECTOR(Floats) *)(gates + from + i * lanes) = sums[i];
            *(VECTOR(Floats) *)(gates + width + from + i * lanes) = sums[tile + i];
        }
    }
}

/* Takes a step of a GRU in one direction. `word` and `gates` are the inputs of its gates, from the word and the last state. */
INLINE TARGET void NAME(step)(const float *word, const float *gates, const float *bias, int cells, float *states,
                              float *most) {
    int lanes = sizeof(VECTOR(Floats)) / sizeof(float);
    for (int i = 0; i < cells; i += lanes) {
        const VECTOR(Floats) *inputs[3], *last[3], *offset = (const void *)(bias + i);
        for (int gate = 0; gate < 3; gate++) {
            inputs[gate] = (const void *)(word + gate * cells + i);
            last[gate] = (const void *)(gates + gate * cells + i);
        }
        VECTOR(Floats) *state = (void *)(states + i), *high = (void *)(most + i);
        VECTOR(Floats) reset = NAME(sigmoid)(*inputs[0] + *last[0]);
        VECTOR(Floats) update = NAME(sigmoid)(*inputs[1] + *last[1]);
        VECTOR(Floats) new = NAME(tangent)(*inputs[2] + reset * (*last[2] + *offset));
        *state = new + update * (*state - new);
        *high = NAME(largest)(*state, *high);
    }
}

/* A GRU in both directions at once, as each waits for its own last step only. */
INLINE TARGET void NAME(recurrence)(const Model *model, const Entry *words, size_t count, float *scratch, float *logits,
                                    int cells, int tile) {
    int width = 3 * cells;
    float *states = scratch, *most = states + 2 * cells, *gates = most + 2 * cells;
    for (int i = 0; i < 2 * cells; i++) states[i] = 0;
    for (int i = 0; i < 2 * cells; i++) most[i] = -1; /* states lie above */
    for (size_t t = 0; t < count; t++) {
        NAME(gates)(model->weights[1], states, model->hidden, cells, tile, gates);
        for (int side = 0; side < 2; side++)
            NAME(step)(gate_inputs(model, words, count, t, side), gates + side * width, model->weights[2] + side * cells, cells,
                       states + side * cells, most + side * cells);
    }
    VARIANT(classify)(model, most, 2 * cells, model->weights[3], model->weights[4], logits);
}

#if WIDE
/* Multiplies the last states of a group of texts, in one direction, with the kernel, in tiles of sums as above. `stride` is
   from text to text. */
INLINE TARGET void NAME(gates_of_group)(const float *kernel, const float *states, size_t stride, int hidden, int width,
                                        float *gates) {
    int lanes = sizeof(VECTOR(Floats)) / sizeof(float);
    for (int from = 0; from < width; from += 3 * lanes) {
        VECTOR(Floats) sums[GROUP][3] = {0};
        for (int k = 0; k < hidden; k++)
            for (int text = 0; text < GROUP; text++)
                for (int i = 0; i < 3; i++)
                    sums[text][i] +=
                        states[text * stride + k] * *(const VECTOR(Floats) *)(kernel + k * width + from + i * lanes);
        for (int text = 0; text < GROUP; text++)
            for (int i = 0; i < 3; i++) *(VECTOR(Floats) *)(gates + text * stride + from + i * lanes) = sums[text][i];
    }
}

/* A GRU over a group of texts. The kernel of a large one exceeds the fastest cache; so it is read once for all of them. */
INLINE TARGET void NAME(recurrence_of_group)(const Model *model, const Entry *const *words, const size_t *counts,
                                             float *scratch, float *logits) {
    int cells = model->cells, width = 3 * cells;
    size_t stride = 2 * (cells + cells + width), longest = 0; /* of a text: its states, their largest values, the gates */
    for (int text = 0; text < GROUP; text++) {
        float *states = scratch + text * stride;
        for (int i = 0; i < 2 * cells; i++) states[i] = 0;
        for (int i = 2 * cells; i < 4 * cells; i++) states[i] = -1;
        longest = counts[text] > longest ? counts[text] : longest;
    }
    for (size_t t = 0; t < longest; t++)
        for (int side = 0; side < 2; side++) {
            const float *kernel = model->weights[1] + (size_t)side * model->hidden * width, *inputs[GROUP];
            for (int text = 0; text < GROUP; text++) {
                inputs[text] = t < counts[text] ? gate_inputs(model, words[text], counts[text], t, side) : NULL;
                for (int i = 0; inputs[text] && i < width; i += CACHE_LINE) __builtin_prefetch(inputs[text] + i);
            }
            float *states = scratch + side * cells, *most = states + 2 * cells, *gates = scratch + 4 * cells + side * width;
            NAME(gates_of_group)(kernel, states, stride, model->hidden, width, gates);
            for (int text = 0; text < GROUP; text++)
                if (inputs[text])
                    NAME(step)(inputs[text], gates + text * stride, model->weights[2] + side * cells, cells,
                               states + text * stride, most + text * stride);
        }
    for (int text = 0; text < GROUP; text++)
        VARIANT(classify)(model, scratch + text * stride + 2 * cells, 2 * cells, model->weights[3], model->weights[4],
                          logits + text * model->width);
}
#endif

/* The same with constant widths, which make small networks twice as fast. */
INLINE TARGET void NAME(recurrence_of)(const Model *model, const Entry *words, size_t count, float *scratch, float *logits) {
    const int lanes = sizeof(VECTOR(Floats)) / sizeof(float);
    switch (model->cells / lanes) {
    case 1:
        NAME(recurrence)(model, words, count, scratch, logits, lanes, 3);
        break;
    case 2:
        NAME(recurrence)(model, words, count, scratch, logits, 2 * lanes, 6);
        break;
    case 3:
        NAME(recurrence)(model, words, count, scratch, logits, 3 * lanes, MOST_TILES < 9 ? 3 : 9);
        break;
    case 4:
        NAME(recurrence)(model, words, count, scratch, logits, 4 * lanes, MOST_TILES);
        break;
    default:
        NAME(recurrence)(model, words, count, scratch, logits, model->cells, 3);
    }
}
