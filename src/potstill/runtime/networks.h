/* The students' networks; `kernel.c` includes this once for each kind of processor that it has loops for, with `TARGET`
   (how to compile a function for it) and `NAMED` (what to call it). */

INLINE TARGET Floats NAMED(largest)(Floats a, Floats b) {
    Ints first = a > b;
    return (Floats)((first & (Ints)a) | (~first & (Ints)b));
}

/* e to the x, to about one part in ten million: Cephes' expf, without a branch. */
INLINE TARGET Floats NAMED(exponential)(Floats x) {
    x = NAMED(largest)(x, (Floats){} - 87.0f);
    x = -NAMED(largest)(-x, (Floats){} - 87.0f);
    Floats shifted = x * 1.44269504f + 12582912.0f; /* the low bits of which are x / log 2, rounded */
    Floats power = shifted - 12582912.0f;
    x = x - power * 0.693359375f + power * 2.12194440e-4f;
    Floats y = x * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * x + 8.3334519073e-3f;
    y = y * x + 4.1665795894e-2f;
    y = y * x + 1.6666665459e-1f;
    y = y * x + 5.0000001201e-1f;
    y = y * x * x + x + 1.0f;
    return y * (Floats)(((Ints)shifted + 127) << 23);
}

INLINE TARGET Floats NAMED(sigmoid)(Floats x) { return 1.0f / (1.0f + NAMED(exponential)(-x)); }

INLINE TARGET Floats NAMED(tangent)(Floats x) { return 2.0f * NAMED(sigmoid)(2.0f * x) - 1.0f; }

INLINE TARGET void NAMED(add)(float *restrict sum, const float *restrict vector, int width) {
    for (int i = 0; i < width; i++) sum[i] += vector[i];
}

INLINE TARGET void NAMED(classify)(const Model *model, const float *features, int count, const float *head, float *logits) {
    for (int k = 0; k < count; k++)
        for (int i = 0; i < model->width; i++) logits[i] += features[k] * head[k * model->width + i];
}

INLINE TARGET void NAMED(bag)(const Model *model, const uint32_t *ids, size_t count, int width, float *restrict logits) {
    const float *table = model->weights[0], *bias = model->weights[1];
    float share = 1.0f / count;
    for (int i = 0; i < width; i++) logits[i] = 0;
    for (size_t t = 0; t < count; t++) NAMED(add)(logits, table + (size_t)ids[t] * width, width);
    for (int i = 0; i < width; i++) logits[i] = logits[i] * share + bias[i];
}

INLINE TARGET void NAMED(attention)(const Model *model, const uint32_t *ids, size_t count, float *scores, float *logits) {
    const float *table = model->weights[0], *bias = model->weights[1], *weight = model->weights[2];
    float most = -INFINITY, total = 0;
    for (size_t t = 0; t < count; t++) {
        scores[t] = 0;
        for (size_t i = t < 2 ? 2 - t : 0; i < 5 && t + i < count + 2; i++)
            scores[t] += weight[ids[t + i - 2] * LANES + i];
        most = scores[t] > most ? scores[t] : most;
    }
    for (size_t t = 0; t < count; t += LANES) { /* there is room behind */
        Floats *some = (Floats *)(scores + t);
        *some = NAMED(exponential)(*some - most);
    }
    memset(logits, 0, model->width * sizeof(float));
    for (size_t t = 0; t < count; t++) {
        const float *row = table + (size_t)ids[t] * model->width;
        for (int i = 0; i < model->width; i++) logits[i] += scores[t] * row[i];
        total += scores[t];
    }
    for (int i = 0; i < model->width; i++) logits[i] = logits[i] / total + bias[i];
}

INLINE TARGET void NAMED(convolution)(const Model *model, const uint32_t *ids, size_t count, float *scratch, float *logits) {
    const float *table = model->weights[0], *bias = model->weights[1];
    int cells = model->cells;
    float *nothing = scratch, *most = scratch + cells;
    memset(scratch, 0, 2 * cells * sizeof(float));
    for (size_t t = 0; t < count; t++) {
        const float *before = t ? table + (size_t)ids[t - 1] * 3 * cells : nothing;
        const float *here = table + ((size_t)ids[t] * 3 + 1) * cells;
        const float *behind = t + 1 < count ? table + ((size_t)ids[t + 1] * 3 + 2) * cells : nothing;
        for (int i = 0; i < cells; i++) {
            float value = before[i] + here[i] + behind[i] + bias[i];
            most[i] = value > most[i] ? value : most[i];
        }
    }
    memcpy(logits, model->weights[3], model->width * sizeof(float));
    NAMED(classify)(model, most, model->hidden, model->weights[2], logits);
}

/* What the last outputs of both directions bring to their gates: tiles of sums that stay in registers. */
INLINE TARGET void NAMED(gates)(const float *kernel, const float *output, int hidden, int cells, int parts, float *gate) {
    int width = parts * cells;
    const float *back = kernel + (size_t)hidden * width;
    for (int tile = 0; tile < width; tile += parts * LANES) {
        Floats sums[8] = {0};
        for (int k = 0; k < hidden; k++)
            for (int i = 0; i < parts; i++) {
                sums[i] += output[k] * *(const Floats *)(kernel + k * width + tile + i * LANES);
                sums[parts + i] += output[cells + k] * *(const Floats *)(back + k * width + tile + i * LANES);
            }
        for (int i = 0; i < parts; i++) {
            *(Floats *)(gate + tile + i * LANES) = sums[i];
            *(Floats *)(gate + width + tile + i * LANES) = sums[parts + i];
        }
    }
}

/* A recurrent network in both directions, at once: each waits for its own last step only. */
INLINE TARGET void NAMED(recurrence)(const Model *model, const uint32_t *ids, size_t count, float *scratch, float *logits, int parts,
                       int cells) {
    const float *table = model->weights[0];
    int width = parts * cells;
    float *output = scratch, *memory = output + 2 * cells, *most = memory + 2 * cells, *gate = most + 2 * cells;
    for (int i = 0; i < 4 * cells; i++) scratch[i] = 0;
    for (int i = 0; i < 2 * cells; i++) most[i] = -1; /* outputs lie above */
    for (size_t t = 0; t < count; t++) {
        NAMED(gates)(model->weights[1], output, model->hidden, cells, parts, gate);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < cells; i += LANES) {
                /* By gate: what the word brings, and what the last outputs bring. */
                const float *word = table + ((size_t)ids[side ? count - 1 - t : t] * 2 + side) * width + i;
                const float *last = gate + side * width + i;
                Floats part[4], *state = (Floats *)(output + side * cells + i), *high = (Floats *)(most + side * cells + i);
                for (int j = 0; j < parts; j++) part[j] = *(const Floats *)(word + j * cells);
                if (parts == 3) { /* GRU */
                    Floats reset = NAMED(sigmoid)(part[0] + *(const Floats *)last);
                    Floats kept = NAMED(sigmoid)(part[1] + *(const Floats *)(last + cells));
                    Floats bias = *(const Floats *)(model->weights[2] + side * cells + i);
                    Floats new = NAMED(tangent)(part[2] + reset * (*(const Floats *)(last + 2 * cells) + bias));
                    *state = new + kept * (*state - new);
                } else { /* LSTM */
                    Floats *kept = (Floats *)(memory + side * cells + i);
                    for (int j = 0; j < parts; j++) part[j] += *(const Floats *)(last + j * cells);
                    *kept = NAMED(sigmoid)(part[1]) * *kept + NAMED(sigmoid)(part[0]) * NAMED(tangent)(part[2]);
                    *state = NAMED(sigmoid)(part[3]) * NAMED(tangent)(*kept);
                }
                *high = NAMED(largest)(*state, *high);
            }
    }
    memcpy(logits, model->weights[4], model->width * sizeof(float));
    NAMED(classify)(model, most, 2 * cells, model->weights[3], logits);
}

/* Scores a text; widths that the compiler knows make small networks twice as fast. */
TARGET static void NAMED(forward)(const Model *model, const uint32_t *ids, size_t count, float *scratch, float *logits) {
    switch (model->architecture) {
    case MLP:
        if (model->width == LANES)
            NAMED(bag)(model, ids, count, LANES, logits);
        else
            NAMED(bag)(model, ids, count, model->width, logits);
        break;
    case ATTENTION:
        NAMED(attention)(model, ids, count, scratch, logits);
        break;
    case CNN:
        NAMED(convolution)(model, ids, count, scratch, logits);
        break;
    case BIGRU:
        if (model->cells == LANES)
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, LANES);
        else if (model->cells == 2 * LANES)
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, 2 * LANES);
        else
            NAMED(recurrence)(model, ids, count, scratch, logits, 3, model->cells);
        break;
    default:
        NAMED(recurrence)(model, ids, count, scratch, logits, 4, model->cells);
    }
}

/* From logits to probabilities, in place; there is room for a whole vector. */
TARGET static void NAMED(softmax)(const Model *model, float *logits) {
    float total = 0, most = logits[0];
    for (int i = 1; i < model->classes; i++) most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < model->width; i += LANES) {
        Floats *some = (Floats *)(logits + i);
        *some = NAMED(exponential)(*some - most);
    }
    for (int i = 0; i < model->classes; i++) total += logits[i];
    for (int i = 0; i < model->classes; i++) logits[i] /= total;
}
