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

/* A GRU in both directions at once, as each waits for its own last step only. */
INLINE TARGET void NAME(recurrence)(const Model *model, const Entry *words, size_t count, float *scratch, float *logits,
                                    int cells, int tile) {
    const float *table = model->weights[0];
    int width = 3 * cells, lanes = sizeof(VECTOR(Floats)) / sizeof(float);
    float *states = scratch, *most = states + 2 * cells, *gates = most + 2 * cells;
    for (int i = 0; i < 2 * cells; i++) states[i] = 0;
    for (int i = 0; i < 2 * cells; i++) most[i] = -1; /* states lie above */
    for (size_t t = 0; t < count; t++) {
        NAME(gates)(model->weights[1], states, model->hidden, cells, tile, gates);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < cells; i += lanes) {
                /* The inputs of the gates, from the word and from the last state. */
                const float *word = table + ((size_t)words[side ? count - 1 - t : t].row * 2 + side) * width + i;
                const VECTOR(Floats) *inputs[3], *last[3], *bias = (void *)(model->weights[2] + side * cells + i);
                for (int gate = 0; gate < 3; gate++) {
                    inputs[gate] = (const void *)(word + gate * cells);
                    last[gate] = (const void *)(gates + side * width + gate * cells + i);
                }
                VECTOR(Floats) *state = (void *)(states + side * cells + i), *high = (void *)(most + side * cells + i);
                VECTOR(Floats) reset = NAME(sigmoid)(*inputs[0] + *last[0]);
                VECTOR(Floats) update = NAME(sigmoid)(*inputs[1] + *last[1]);
                VECTOR(Floats) new = NAME(tangent)(*inputs[2] + reset * (*last[2] + *bias));
                *state = new + update * (*state - new);
                *high = NAME(largest)(*state, *high);
            }
    }
    VARIANT(classify)(model, most, 2 * cells, model->weights[3], model->weights[4], logits);
}

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
