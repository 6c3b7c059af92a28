/* The fast path: from texts to probabilities in one loop, without a Python object per word.

   `fast.py` folds a student's weights: what a word contributes to the first layer does not depend on its position, so that
   layer becomes a table with a row per word, and scoring takes look-ups, sums and a maximum. Words are split and looked up
   exactly as in `tokenizer.py`, and networks compute what `networks.py` does; the tests compare them.

   Texts are Python strings, or Arrow arrays by the C data interface; neither are copied. Text that is not ASCII is
   lower-cased by Python, which also gives the kinds of characters. The rest runs without the GIL, unless it takes less
   time than another thread would wait for the GIL.

   Widths are padded with zeros to multiples of LANES. Vectors are the extension of GCC and Clang, which map them to the
   registers of the processor. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline)) /* so that all registers are available to it */
#define LANES 8
#define CODE_POINTS 0x110000
#define LOG2_E 1.44269504f
#define GATHERED 256            /* texts */
#define MIN_BATCH 64            /* texts; preparation pays for as many or more */
#define GIL_RELEASE_BYTES 32768 /* to read, about ten microseconds; the GIL is released for as many or more */
#define LONG_TEXT 65536         /* characters or bytes above which Python lower-cases a text piece by piece */
#define MAX_PIECE 32            /* characters of a piece of a word, and of a word that is split, as in `tokenizer.py` */
#define MAX_SPLIT 100
#define LITTLE_ENDIAN_CPU (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

enum { MLP, ATTENTION, CNN, BIGRU };
enum { LOGITS, PROBABILITIES, CLASSES, LOGITS_AND_RARE }; /* as in `fast.py` */
enum { UNSEEN, SPACE = ' ', MARK = 'm', ALONE = 'a', WORD = 'w', SYMBOL = 's' }; /* kinds of characters, see `tokenizer.py` */

typedef struct {
    uint32_t row, place; /* of a word: its row, and its place in the vocabulary, from 1 on; 0, 0: unknown */
} Entry;

/* A word of up to 16 bytes, as nearly all are: its bytes, zero-padded, which is unambiguous as only the word NUL contains a
   zero, and the result of its look-up. */
typedef struct {
    uint64_t low, high; /* all ones, which is not UTF-8: empty */
    Entry found;
} Short;

/* A perfect hash table of the short words of a vocabulary of strings. */
typedef struct {
    Short *words;
    uint32_t *factors; /* by group of words */
    int slots_log2, groups_log2;
    uint64_t secret; /* a copy, so that it stays in a register */
} Shorts;

typedef struct {
    int architecture, classes, hidden;
    int width, cells; /* classes and hidden, padded */
    uint32_t max_ngram, max_length;
    int subwords;
    /* The vocabulary: with strings, the single words of its entries; otherwise the fingerprints of its entries. */
    int strings;
    int bits, buckets_log2;
    uint8_t *salts;
    char *words; /* with strings: concatenated */
    uint32_t *word_ends;
    uint32_t slots; /* a power of two */
    struct slot {
        uint32_t key, place; /* the hash or the fingerprint, and the place, from 1 on; 0: empty */
    } *slot;
    Shorts shorts;
    uint8_t *rare;    /* by row: 1 if it is */
    uint32_t *row_of; /* by place; 0 for a word that only occurs in n-grams */
    /* With strings, n-grams are a tree: a place and the place of the next word lead to a place beyond those of words. */
    uint32_t edges_log2;
    struct edge {
        uint64_t key; /* the two places; 0: empty */
        uint32_t to;
    } *edge;
    const float *weights[8];             /* as `fast.py` orders them; not copied, as they may take a hundred megabytes */
    Py_buffer views[8];                  /* hold their memory */
    PyObject *lower, *lower_long, *kind; /* Python functions */
} Model;

typedef struct {
    const char *data;
    size_t size;
    int ascii;
} Text;

#define CACHE_LOG2 12
#define EMPTY (~(uint64_t)0)
#define MAX_IN_GROUP 32 /* words that share a factor; three on average */

/* Texts are split in batches, then all their words are looked up, then they are scored: one loop over many words is faster
   than many short ones. */
#define BATCH 32 /* texts */
#define GROUP 4  /* texts that a large recurrent network reads at once */
#define GROUP_CELLS 32 /* it is large from so many cells on */
#define CACHE_LINE 16  /* floats */
#define SPARE 80 /* positions of words that may be written and are not read: those of a block, and 16 more */

typedef struct {
    char *lowered; /* texts, or their words with a space after each; with room to read and write after them */
    char *joined;  /* the words of an n-gram */
    size_t room, joined_room, entries_room, batch_room, scratch_room; /* in bytes */
    size_t max_words;
    size_t *starts, *ends; /* of words in `lowered` */
    Entry *found;          /* of words */
    Entry *entries;        /* of the words and then the n-grams of a text, or of its words and pieces */
    Entry *batch;          /* the entries of the texts of a batch */
    float *scratch;
    Short *cache; /* a cache of looked-up words, for a student without `shorts`; or NULL */
} Work;

static uint8_t kinds[CODE_POINTS]; /* of characters; computed on first use, with the GIL held */
static uint32_t crc_table[256];
static uint8_t zero_to_63[64];
static uint64_t secret; /* of this process */
static uint64_t masks[64]; /* by the length of a word, its bytes among the first eight; from 32 on, among the next eight */

/* ---- words ---- */

/* Continues the checksum of the bytes before, or starts with 0. */
static uint32_t checksum(uint32_t before, const char *entry, size_t size) {
    uint32_t crc = ~before;
    for (size_t i = 0; i < size; i++) crc = crc_table[(crc ^ (uint8_t)entry[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static uint32_t fingerprint(const Model *model, uint32_t crc) {
    uint32_t bucket = (uint32_t)((uint64_t)(crc * 0x9E3779B1u) << model->buckets_log2 >> 32);
    uint32_t mixed = (crc ^ (model->salts[bucket] + 1u) * 0x9E3779B1u) * 0x85EBCA6Bu;
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35u;
    mixed ^= mixed >> 16;
    int width = model->bits - model->buckets_log2;
    return width ? bucket << (width & 31) | (uint32_t)((uint64_t)mixed >> (32 - width)) : bucket;
}

/* Both halves of a product, as in wyhash: every bit of the word affects every bit. The secret differs between processes, so
   that words that collide cannot be chosen in advance. */
static inline uint64_t hash_of(uint64_t low, uint64_t high, uint64_t secret) {
    unsigned __int128 product = (unsigned __int128)(low ^ secret) * (high ^ 0xC2B2AE3D27D4EB4Fu);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_of_word(const char *word, size_t size) {
    uint64_t hash = hash_of(size, secret, secret);
    for (; size > 8; size -= 8, word += 8) {
        uint64_t part;
        memcpy(&part, word, 8);
        hash = hash_of(part, hash, secret);
    }
    uint64_t part = 0;
    memcpy(&part, word, size);
    return (uint32_t)(hash_of(part, hash, secret) >> 32);
}

static uint32_t slot_of(const Model *model, uint32_t key) {
    return (uint32_t)(hash_of(key, secret, secret) >> 32) & (model->slots - 1);
}

static int is_word(const Model *model, uint32_t place, const char *word, size_t size) {
    uint32_t start = place > 1 ? model->word_ends[place - 2] : 0;
    return model->word_ends[place - 1] - start == size && !memcmp(model->words + start, word, size);
}

/* Finds an entry by its hash or, if they are not strings, by its fingerprint. */
static Entry find_key(const Model *model, uint32_t key, const char *word, size_t size) {
    for (uint32_t i = slot_of(model, key);; i = (i + 1) & (model->slots - 1)) {
        struct slot slot = model->slot[i];
        if (!slot.place) return (Entry){0, 0};
        if (slot.key == key && (!model->strings || is_word(model, slot.place, word, size)))
            return (Entry){model->row_of[slot.place], slot.place};
    }
}

static Entry find(const Model *model, const char *word, size_t size) {
    uint32_t key = model->strings ? hash_of_word(word, size) : fingerprint(model, checksum(0, word, size));
    return find_key(model, key, word, size);
}

/* A perfect hash by displacement (Belazzougui, Botelho and Dietzfelbinger 2009): each group of words has a factor, chosen
   so that no two words of the vocabulary share a slot. */
static inline size_t slot_of_short(const Shorts *shorts, uint64_t hash) {
    uint32_t factor = shorts->factors[hash >> (64 - shorts->groups_log2)];
    return (uint32_t)(hash >> 16) * factor >> (32 - shorts->slots_log2);
}

/* Packs a word of at most 16 bytes into two numbers; the bytes after it must be readable. */
INLINE void pack(const char *word, size_t size, uint64_t *low, uint64_t *high) {
    memcpy(low, word, 8);
    memcpy(high, word + 8, 8);
    *low &= masks[size];
    *high &= masks[32 + size];
}

static inline int has_shorts(const Model *model) { return LITTLE_ENDIAN_CPU && model->shorts.words; }

/* Finds a word of at most 16 bytes; the result for a longer one has no meaning. `size` must be below 32. */
INLINE Entry find_short(const Shorts *shorts, const char *word, size_t size) {
    uint64_t low, high, same;
    pack(word, size, &low, &high);
    const Short *at = shorts->words + slot_of_short(shorts, hash_of(low, high, shorts->secret));
    uint64_t other = (at->low ^ low) | (at->high ^ high);
    memcpy(&same, &at->found, sizeof same);
    same &= -(uint64_t)!other; /* without a branch, which would be mispredicted */
    Entry found;
    memcpy(&found, &same, sizeof found);
    return found;
}

/* Returns a buffer that is at least that large, with the content of this one; NULL if memory runs out. */
static void *make_room(void *buffer, size_t *room, size_t size) {
    if (size <= *room) return buffer;
    void *larger = realloc(buffer, 2 * size);
    if (!larger) free(buffer);
    *room = larger ? 2 * size : 0;
    return larger;
}

static struct edge *edge_of(const Model *model, uint64_t key) {
    uint64_t mask = ((uint64_t)1 << model->edges_log2) - 1, i = hash_of(key, secret, secret) >> 32 & mask;
    while (model->edge[i].key && model->edge[i].key != key) i = (i + 1) & mask;
    return model->edge + i;
}

/* Bytes of scratch memory to score a text of so many entries. */
static size_t scratch_size(const Model *model, size_t entries) {
    return (entries + GROUP * (model->width + 10 * (size_t)model->cells)) * sizeof(float);
}

/* Writes the entries of a text, its words and then its n-grams; returns how many, or 0 without memory. */
static size_t add_ngrams(const Model *model, Work *work, size_t first, size_t count) {
    const Entry *words = work->found + first;
    Entry *entries = work->entries;
    memcpy(entries, words, count * sizeof *entries);
    size_t found = count;
    if (model->strings) {
        for (size_t i = 0; i < count; i++) {
            uint32_t place = words[i].place;
            for (size_t end = i + 1; place && end < count && end < i + model->max_ngram && words[end].place; end++) {
                place = edge_of(model, (uint64_t)place << 32 | words[end].place)->to;
                if (model->row_of[place]) entries[found++] = (Entry){model->row_of[place], place};
            }
        }
        return found;
    }
    /* Fingerprints are of the bytes of an n-gram, with one space between words. */
    const size_t *starts = work->starts + first, *ends = work->ends + first;
    size_t joined = ends[count - 1] - starts[0] + count;
    if (!(work->joined = make_room(work->joined, &work->joined_room, joined))) return 0;
    for (size_t i = 0; i < count; i++) {
        char *out = work->joined;
        for (size_t end = i; end < count && end < i + model->max_ngram; end++) {
            size_t size = ends[end] - starts[end];
            if (end > i) *out++ = ' ';
            memcpy(out, work->lowered + starts[end], size);
            out += size;
            if (end == i) continue;
            Entry ngram = find(model, work->joined, out - work->joined);
            if (ngram.row) entries[found++] = ngram;
        }
    }
    return found;
}

/* Splits a word that is not an entry into the longest pieces that are, from left to right; returns how many, or 0 if a part
   of it is not an entry. */
static size_t split_word(const Model *model, const char *word, size_t size, Entry *pieces) {
    char copy[2 + 4 * MAX_SPLIT + 16]; /* the word after two bytes, since "##" is written over what precedes a piece */
    size_t at[MAX_SPLIT + 1];          /* where each character starts in `copy`, and the end */
    size_t characters = 0, count = 0, start = 0;
    if (size > 4 * MAX_SPLIT) return 0;
    for (size_t i = 0; i < size; i++) {
        if (((uint8_t)word[i] & 0xC0) == 0x80) continue;
        if (characters == MAX_SPLIT) return 0;
        at[characters++] = 2 + i;
    }
    at[characters] = 2 + size;
    memcpy(copy + 2, word, size);
    while (start < characters) {
        size_t from = start ? at[start] - 2 : at[start];
        size_t end = characters < start + MAX_PIECE ? characters : start + MAX_PIECE;
        uint32_t crcs[MAX_PIECE]; /* of the pieces that end with each character */
        if (start) memcpy(copy + from, "##", 2);
        for (size_t i = start; !model->strings && i < end; i++) {
            size_t next = i > start ? at[i] : from;
            crcs[i - start] = checksum(i > start ? crcs[i - start - 1] : 0, copy + next, at[i + 1] - next);
        }
        Entry found = {0, 0};
        for (; end > start; end--) {
            size_t bytes = at[end] - from;
            if (!model->strings)
                found = find_key(model, fingerprint(model, crcs[end - start - 1]), NULL, 0);
            else if (bytes <= 16 && has_shorts(model))
                found = find_short(&model->shorts, copy + from, bytes);
            else
                found = find(model, copy + from, bytes);
            if (found.row) break;
        }
        if (!found.row) return 0;
        pieces[count++] = found;
        start = end;
    }
    return count;
}

static int has_unknown(const Entry *words, size_t count) {
    int unknown = 0;
    for (size_t i = 0; i < count; i++) unknown |= !words[i].row; /* without a branch, so that it is vectorized */
    return unknown;
}

static float share_of_rare(const Model *model, const Entry *entries, size_t count) {
    size_t rare = 0;
    for (size_t i = 0; model->rare && i < count; i++) rare += model->rare[entries[i].row];
    return (float)rare / (float)count;
}

/* Writes the entries of a text, each word or its pieces; returns how many, or 0 without memory. */
static size_t add_pieces(const Model *model, Work *work, size_t first, size_t count) {
    const Entry *words = work->found + first;
    const size_t *starts = work->starts + first, *ends = work->ends + first;
    size_t found = 0, most = LANES; /* `attention` writes whole vectors of scores */
    for (size_t i = 0; i < count; i++) {
        size_t size = ends[i] - starts[i];
        most += words[i].row ? 1 : size < MAX_SPLIT ? size : MAX_SPLIT;
    }
    work->entries = make_room(work->entries, &work->entries_room, most * sizeof *work->entries);
    work->scratch = make_room(work->scratch, &work->scratch_room, scratch_size(model, most));
    if (!work->entries || !work->scratch) return 0;
    for (size_t i = 0; i < count; i++) {
        Entry *to = work->entries + found;
        size_t pieces = words[i].row ? 0 : split_word(model, work->lowered + starts[i], ends[i] - starts[i], to);
        if (!pieces) *to = words[i]; /* known, or unknown in spite of pieces */
        found += pieces ? pieces : 1;
    }
    return found;
}

/* The code point at a byte above 127 of valid UTF-8, and the number of its bytes. */
static uint32_t decode(const uint8_t *at, int *bytes) {
    if (at[0] < 0xE0) return *bytes = 2, (at[0] & 31u) << 6 | (at[1] & 63u);
    if (at[0] < 0xF0) return *bytes = 3, (at[0] & 15u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
    return *bytes = 4, (at[0] & 7u) << 18 | (at[1] & 63u) << 12 | (at[2] & 63u) << 6 | (at[3] & 63u);
}

/* Splits a text into its first words, copies them to `lowered` from `at` on with a space after each, and returns how many
   there are. Their positions go to `starts` and `ends`. */
static size_t split_any(const Model *model, char *lowered, size_t at, Text text, size_t *starts, size_t *ends) {
    const uint8_t *from = (const uint8_t *)text.data, *end = from + text.size;
    char *out = lowered + at;
    size_t count = 0;
    while (from < end && count < model->max_length) {
        int bytes = 1;
        uint8_t kind = kinds[*from < 128 ? *from : decode(from, &bytes)];
        if (kind == SPACE || kind == MARK) {
            from += bytes;
            continue;
        }
        uint8_t next;
        starts[count] = out - lowered;
        do {
            for (int i = 0; i < bytes; i++) *out++ = *from >= 'A' && *from <= 'Z' ? *from++ | 32 : *from++;
            if (kind == SYMBOL || from == end) break;
            bytes = 1;
            next = kinds[*from < 128 ? *from : decode(from, &bytes)];
        } while (next == MARK || (next == WORD && kind == WORD));
        ends[count++] = out - lowered;
        *out++ = ' ';
    }
    return count;
}

/* ---- memory for a call ---- */

static Short *empty_shorts(size_t count) {
    Short *shorts = malloc(count * sizeof *shorts);
    return shorts ? memset(shorts, 0xFF, count * sizeof *shorts) : NULL;
}

/* Returns the entries of a text of `count` words, from the `first` on; NULL without memory. Sets how many entries there are. */
static const Entry *entries_of(const Model *model, Work *work, size_t first, size_t *count) {
    static const Entry nothing = {0, 0};
    const Entry *words = work->found + first;
    if (!*count) {
        *count = 1;
        return &nothing;
    }
    if (model->max_ngram == 1 && !(model->subwords && has_unknown(words, *count))) return words;
    *count = (model->subwords ? add_pieces : add_ngrams)(model, work, first, *count);
    return *count ? work->entries : NULL;
}

/* The inputs of a recurrent network's gates at a step in one direction, the second of which is backwards. */
static inline const float *gate_inputs(const Model *model, const Entry *words, size_t count, size_t step, int side) {
    return model->weights[0] + ((size_t)words[side ? count - 1 - step : step].row * 2 + side) * 3 * model->cells;
}

static size_t item_size(const Model *model, int output) {
    return output == CLASSES ? sizeof(int64_t) : (model->classes + (output == LOGITS_AND_RARE)) * sizeof(float);
}

static void work_free(Work *work) {
    free(work->lowered);
    free(work->joined);
    free(work->starts);
    free(work->ends);
    free(work->found);
    free(work->entries);
    free(work->batch);
    free(work->scratch);
    free(work->cache);
}

static int work_init(const Model *model, Work *work, size_t texts) {
    size_t entries = (size_t)model->max_length * model->max_ngram + LANES;
    memset(work, 0, sizeof *work);
    work->max_words = model->max_length + (texts < MIN_BATCH ? 0 : 32 * BATCH);
    if (texts >= MIN_BATCH) work->lowered = make_room(NULL, &work->room, 256 * BATCH);
    work->starts = malloc((work->max_words + SPARE) * sizeof(size_t));
    work->ends = malloc((work->max_words + SPARE) * sizeof(size_t));
    work->found = malloc(work->max_words * sizeof(Entry));
    work->entries = malloc(work->entries_room = entries * sizeof(Entry));
    work->scratch = malloc(work->scratch_room = scratch_size(model, entries));
    int caches = texts >= MIN_BATCH && !model->shorts.words;
    if (caches) work->cache = empty_shorts((size_t)1 << CACHE_LOG2);
    return (work->lowered || texts < MIN_BATCH) && work->starts && work->ends && work->found && work->entries &&
           work->scratch && (work->cache || !caches);
}

/* ---- loops ---- */

typedef float Floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef float WideFloats __attribute__((vector_size(8 * LANES), aligned(4), may_alias));
typedef int32_t WideInts __attribute__((vector_size(8 * LANES)));

#define TARGET
#define VARIANT(name) name##_plain
#define WIDE 0
#include "loops.h"

static int (*score)(const Model *, Work *, const Text *, size_t, int, char *) = score_plain;

/* On x86, one binary has loops for processors with and without AVX2 and AVX-512, and picks some when it is loaded. */
#ifndef WIDEST
#define WIDEST 2 /* loops that may be picked; the tests compile each */
#endif
#if defined(__x86_64__) && !defined(__AVX2__)
#undef TARGET
#undef VARIANT
#undef WIDE
#define TARGET __attribute__((target("avx2,fma,bmi,bmi2,popcnt")))
#define VARIANT(name) name##_avx2
#define WIDE 1
#include "loops.h"
#undef TARGET
#undef VARIANT
#undef WIDE
#define TARGET __attribute__((target("avx2,fma,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2")))
#define VARIANT(name) name##_avx512
#define WIDE 2
#include "loops.h"

static void pick_loops(void) {
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vbmi2");
    if (avx2 && WIDEST >= 1) score = score_avx2;
    if (avx512 && WIDEST >= 2) score = score_avx512;
}
#else
static void pick_loops(void) {}
#endif

/* ---- Python ---- */

/* Releases the GIL if there is much work, in bytes to read; otherwise other threads wait as long as for a few short texts. */
static PyThreadState *release_gil(size_t work) { return work >= GIL_RELEASE_BYTES ? PyEval_SaveThread() : NULL; }

static void take_gil(PyThreadState *state) {
    if (state) PyEval_RestoreThread(state);
}

/* Gets the kinds of a text's characters from a Python function. */
static int learn_kinds(PyObject *kind, const char *data, size_t size) {
    const uint8_t *at = (const uint8_t *)data, *end = at + size;
    for (;;) {
        uint32_t point = 0;
        int known = 1;
        PyThreadState *state = release_gil(end - at);
        while (known && at < end) {
            int bytes = 1;
            point = *at < 128 ? *at : decode(at, &bytes);
            at += bytes;
            known = kinds[point];
        }
        take_gil(state);
        if (known) return 1;
        PyObject *character = PyUnicode_FromFormat("%c", (int)point);
        PyObject *found = character ? PyObject_CallFunctionObjArgs(kind, character, NULL) : NULL;
        const char *name = found ? PyUnicode_AsUTF8AndSize(found, NULL) : NULL;
        if (name) kinds[point] = (uint8_t)name[0];
        Py_XDECREF(character);
        Py_XDECREF(found);
        if (!name) return 0;
    }
}

/* Lower-cases a text that is not ASCII with a Python function; `held` keeps the result alive. */
static int lower(const Model *model, PyObject *string, PyObject *held, Text *text) {
    PyObject *lowered = PyObject_CallFunctionObjArgs(model->lower, string, NULL);
    if (!lowered) return 0;
    Py_ssize_t size;
    text->data = PyUnicode_AsUTF8AndSize(lowered, &size);
    text->ascii = 0;
    int done = text->data && !PyList_Append(held, lowered) && learn_kinds(model->kind, text->data, text->size = size);
    Py_DECREF(lowered);
    return done;
}

/* The same for a long text (a string or UTF-8 bytes): other threads can run between its pieces. */
static int lower_long(const Model *model, PyObject *any, PyObject *held, Text *text) {
    PyObject *lowered = PyObject_CallFunctionObjArgs(model->lower_long, any, NULL);
    if (!lowered) return 0;
    char *data;
    Py_ssize_t size;
    int done = !PyBytes_AsStringAndSize(lowered, &data, &size) && !PyList_Append(held, lowered) &&
               learn_kinds(model->kind, data, size);
    if (done) *text = (Text){data, size, 0};
    Py_DECREF(lowered);
    return done;
}

static int from_string(const Model *model, PyObject *string, PyObject *held, Text *text) {
    if (!PyUnicode_Check(string)) {
        PyErr_SetString(PyExc_TypeError, "a text is not a string"); /* `model.py` gives its position */
        return 0;
    }
    Py_ssize_t length = PyUnicode_GetLength(string), size;
    if (length > LONG_TEXT) {
        PyObject *ascii = PyObject_CallMethod(string, "isascii", NULL);
        Py_XDECREF(ascii);
        if (ascii != Py_True) return ascii && lower_long(model, string, held, text);
    }
    text->data = PyUnicode_AsUTF8AndSize(string, &size);
    if (!text->data) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return 0;
        PyErr_Clear();
        return lower(model, string, held, text); /* a lone surrogate */
    }
    text->size = size;
    text->ascii = size == length;
    return text->ascii || lower(model, string, held, text);
}

static int from_bytes(const Model *model, const char *data, size_t size, PyObject *held, Text *text) {
    uint8_t any = 0;
    PyThreadState *state = release_gil(size);
    for (size_t i = 0; i < size; i++) any |= (uint8_t)data[i];
    take_gil(state);
    *text = (Text){data, size, any < 128};
    if (text->ascii) return 1;
    int is_long = size > LONG_TEXT;
    PyObject *found = is_long ? PyBytes_FromStringAndSize(data, size) : PyUnicode_DecodeUTF8(data, size, NULL);
    int done = found && (is_long ? lower_long : lower)(model, found, held, text);
    Py_XDECREF(found);
    return done;
}

/* A call: texts are gathered with the GIL and scored without it, as many at once as fit into the nearest cache. */
typedef struct {
    const Model *model;
    int output;
    Work work;
    Text texts[GATHERED];
    size_t count;      /* of gathered texts */
    size_t word_cost;  /* of scoring a word, in bytes to read */
    size_t most_words; /* of a text, or pieces of words */
    PyObject *held;    /* keeps the gathered texts alive */
    PyObject *result;  /* a bytearray */
    size_t done;       /* texts scored into it */
} Call;

static void call_free(Call *call) {
    work_free(&call->work);
    Py_CLEAR(call->held);
}

static int call_init(Call *call, const Model *model, int output, size_t texts) {
    memset(call, 0, sizeof *call);
    call->model = model;
    call->output = output;
    /* Some sixteen multiplications take as long as reading a byte; n-grams take look-ups. */
    size_t cells = model->cells;
    size_t products = model->architecture == CNN ? 3 * cells
                      : model->architecture < CNN ? (size_t)model->width
                                                  : 6 * cells * cells;
    call->word_cost = 16 * model->max_ngram + products / 16;
    call->most_words = (size_t)model->max_length * (model->subwords ? MAX_SPLIT : 1);
    if (!work_init(model, &call->work, texts)) {
        PyErr_NoMemory();
        return 0;
    }
    return (call->held = PyList_New(0)) && (call->result = PyByteArray_FromStringAndSize(NULL, 0));
}

/* Makes room for the results of more texts; it may move. */
static int expect(Call *call, size_t texts) {
    return !PyByteArray_Resize(call->result, (call->done + texts) * item_size(call->model, call->output));
}

static int score_gathered(Call *call) {
    char *out = PyByteArray_AsString(call->result) + call->done * item_size(call->model, call->output);
    size_t work = call->count < MIN_BATCH ? 0 : GIL_RELEASE_BYTES;
    for (size_t i = 0; work < GIL_RELEASE_BYTES && i < call->count; i++) {
        size_t words = call->texts[i].size / (call->model->subwords ? 2 : 4); /* an estimate */
        if (words > call->most_words) words = call->most_words;
        work += call->texts[i].size + words * call->word_cost;
    }
    PyThreadState *state = release_gil(work);
    int done = score(call->model, &call->work, call->texts, call->count, call->output, out);
    take_gil(state);
    call->done += call->count;
    call->count = 0;
    if (!done) PyErr_NoMemory();
    return done && !PyList_SetSlice(call->held, 0, PyList_Size(call->held), NULL);
}

static Model *model_of(PyObject *capsule) { return PyCapsule_GetPointer(capsule, "potstill.student"); }

static PyObject *score_list(PyObject *self, PyObject *arguments) {
    PyObject *capsule, *sequence;
    int output;
    if (!PyArg_ParseTuple(arguments, "OOi", &capsule, &sequence, &output)) return NULL;
    Model *model = model_of(capsule);
    PyObject *texts = model ? PySequence_Tuple(sequence) : NULL; /* a copy, since other threads may change a list */
    if (!texts) return NULL;
    Py_ssize_t number = PyTuple_Size(texts);
    Call call;
    int done = call_init(&call, model, output, number) && expect(&call, number);
    for (Py_ssize_t i = 0; done && i < number;) {
        done = from_string(model, PyTuple_GetItem(texts, i), call.held, call.texts + call.count++);
        if (done && (++i == number || call.count == GATHERED)) done = score_gathered(&call);
    }
    Py_DECREF(texts);
    call_free(&call);
    if (!done) Py_CLEAR(call.result);
    return call.result;
}

/* ---- Arrow's C data and C stream interfaces: https://arrow.apache.org/docs/format/CDataInterface.html ---- */

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

/* The i-th text of an array of strings ("u"), large strings ("U") or string views ("vu"). */
static Text arrow_text(const struct ArrowArray *array, const char *format, int64_t i) {
    i += array->offset;
    if (format[0] == 'v') {
        const char *view = (const char *)array->buffers[1] + 16 * i;
        int32_t part[4];
        memcpy(part, view, 16);
        if (part[0] <= 12) return (Text){view + 4, part[0], 0};
        return (Text){(const char *)array->buffers[2 + part[2]] + part[3], part[0], 0};
    }
    int64_t start, end;
    if (format[0] == 'U') {
        start = ((const int64_t *)array->buffers[1])[i];
        end = ((const int64_t *)array->buffers[1])[i + 1];
    } else {
        start = ((const int32_t *)array->buffers[1])[i];
        end = ((const int32_t *)array->buffers[1])[i + 1];
    }
    return (Text){(const char *)array->buffers[2] + start, end - start, 0};
}

static int score_array(Call *call, const struct ArrowArray *array, const char *format) {
    const uint8_t *valid = array->null_count ? array->buffers[0] : NULL;
    int64_t before = call->done;
    int done = expect(call, array->length);
    for (int64_t i = 0; done && i < array->length;) {
        int64_t bit = i + array->offset;
        if (valid && !(valid[bit >> 3] >> (bit & 7) & 1)) {
            PyErr_Format(PyExc_TypeError, "text %lld is missing: leave it out", (long long)(before + i));
            return 0;
        }
        Text text = arrow_text(array, format, i);
        done = from_bytes(call->model, text.data, text.size, call->held, call->texts + call->count++);
        if (!done && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
            PyErr_Format(PyExc_ValueError, "text %lld is not UTF-8: leave it out", (long long)(before + i));
        if (done && (++i == array->length || call->count == GATHERED)) done = score_gathered(call);
    }
    return done;
}

/* Whether these are strings that are read here. If not, `model.py` converts them to a list, unless it is a table. */
static int is_supported(const struct ArrowSchema *schema) {
    const char *format = schema->format;
    if (!schema->dictionary && (!strcmp(format, "u") || !strcmp(format, "U") || !strcmp(format, "vu"))) return 1;
    if (strcmp(format, "+s"))
        PyErr_SetString(PyExc_NotImplementedError, "the Arrow array holds no strings");
    else
        PyErr_SetString(PyExc_TypeError, "the Arrow array holds rows of a table: give its column of texts");
    return 0;
}

static PyObject *score_arrow_array(PyObject *self, PyObject *arguments) {
    PyObject *capsule, *of_schema, *of_array;
    int output;
    if (!PyArg_ParseTuple(arguments, "O(OO)i", &capsule, &of_schema, &of_array, &output)) return NULL;
    Model *model = model_of(capsule);
    struct ArrowSchema *schema = model ? PyCapsule_GetPointer(of_schema, "arrow_schema") : NULL;
    struct ArrowArray *array = schema ? PyCapsule_GetPointer(of_array, "arrow_array") : NULL;
    if (!array || !is_supported(schema)) return NULL;
    Call call;
    int done = call_init(&call, model, output, array->length) && score_array(&call, array, schema->format);
    call_free(&call);
    if (!done) Py_CLEAR(call.result);
    return call.result;
}

static PyObject *score_arrow_stream(PyObject *self, PyObject *arguments) {
    PyObject *capsule, *source;
    int output;
    if (!PyArg_ParseTuple(arguments, "OOi", &capsule, &source, &output)) return NULL;
    Model *model = model_of(capsule);
    struct ArrowArrayStream *stream = model ? PyCapsule_GetPointer(source, "arrow_array_stream") : NULL;
    if (!stream) return NULL;
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    if (stream->get_schema(stream, &schema)) {
        PyErr_SetString(PyExc_ValueError, "the Arrow stream failed");
        return NULL;
    }
    Call call;
    int done = call_init(&call, model, output, MIN_BATCH) && is_supported(&schema);
    while (done) {
        if (stream->get_next(stream, &array)) {
            PyErr_SetString(PyExc_ValueError, "the Arrow stream failed");
            done = 0;
            break;
        }
        if (!array.release) break; /* the end */
        done = score_array(&call, &array, schema.format);
        array.release(&array);
    }
    schema.release(&schema);
    call_free(&call);
    if (!done) Py_CLEAR(call.result);
    return call.result;
}

/* ---- building ---- */

static void model_free(Model *model) {
    free(model->salts);
    free(model->rare);
    free(model->words);
    free(model->word_ends);
    free(model->slot);
    free(model->row_of);
    free(model->edge);
    free(model->shorts.words);
    free(model->shorts.factors);
    for (int i = 0; i < 8; i++) PyBuffer_Release(&model->views[i]);
    Py_XDECREF(model->lower);
    Py_XDECREF(model->lower_long);
    Py_XDECREF(model->kind);
    free(model);
}

static void capsule_free(PyObject *capsule) { model_free(model_of(capsule)); }

/* A copy of the content of an object with the buffer interface, and its size in bytes. */
static void *copy_of(PyObject *object, Py_ssize_t *size) {
    Py_buffer view;
    *size = 0;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) return NULL;
    void *copy = malloc(view.len + 1);
    if (copy) memcpy(copy, view.buf, *size = view.len);
    PyBuffer_Release(&view);
    return copy;
}

static int add_edges(Model *model, PyObject *bytes) {
    Py_ssize_t size;
    uint32_t *edges = copy_of(bytes, &size);
    size /= 12;
    for (model->edges_log2 = 2; (Py_ssize_t)1 << model->edges_log2 < 2 * size; model->edges_log2++) continue;
    model->edge = calloc((size_t)1 << model->edges_log2, sizeof *model->edge);
    for (Py_ssize_t i = 0; edges && model->edge && i < size; i++) {
        uint64_t key = (uint64_t)edges[3 * i] << 32 | edges[3 * i + 1];
        *edge_of(model, key) = (struct edge){key, edges[3 * i + 2]};
    }
    free(edges);
    return edges && model->edge;
}

typedef struct {
    uint64_t hash;
    Short word;
} Hashed;

static int by_hash(const void *a, const void *b) {
    uint64_t first = ((const Hashed *)a)->hash, second = ((const Hashed *)b)->hash;
    return (first > second) - (first < second);
}

/* Finds a factor that gives each word of a group a free slot; false if there is none. */
static int place_group(Shorts *shorts, const Hashed *group, size_t count) {
    uint32_t *factor = shorts->factors + (group->hash >> (64 - shorts->groups_log2));
    for (uint32_t tried = 0; tried <= UINT16_MAX; tried++) {
        *factor = tried * 0x9E3779B1u | 1;
        size_t placed = 0;
        for (; placed < count; placed++) {
            Short *at = shorts->words + slot_of_short(shorts, group[placed].hash);
            if (at->high != EMPTY) break;
            *at = group[placed].word;
        }
        if (placed == count) return 1;
        while (placed--) shorts->words[slot_of_short(shorts, group[placed].hash)].high = EMPTY;
    }
    return 0;
}

static int place_all(Shorts *shorts, const Hashed *words, size_t count) {
    /* Large groups first, while there is room. */
    for (size_t size = MAX_IN_GROUP; size; size--)
        for (size_t i = 0, end; i < count; i = end) {
            uint64_t group = words[i].hash >> (64 - shorts->groups_log2);
            for (end = i; end < count && words[end].hash >> (64 - shorts->groups_log2) == group; end++) continue;
            if (end - i > MAX_IN_GROUP || (end - i == size && !place_group(shorts, words + i, size))) return 0;
        }
    return 1;
}

/* Builds the table of short words; false if memory runs out. If there is no perfect hash, words are looked up by `find`. */
static int add_shorts(Model *model, uint32_t words) {
    Hashed *hashed = malloc((words + 1) * sizeof *hashed);
    size_t count = 0;
    if (!hashed) return 0;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t start = i ? model->word_ends[i - 1] : 0, size = model->word_ends[i] - start;
        if (size > 16) continue;
        char bytes[16] = {0};
        memcpy(bytes, model->words + start, size);
        Short word = {0, 0, {model->row_of[i + 1], i + 1}};
        memcpy(&word.low, bytes, 8);
        memcpy(&word.high, bytes + 8, 8);
        hashed[count++] = (Hashed){hash_of(word.low, word.high, secret), word};
    }
    qsort(hashed, count, sizeof *hashed, by_hash);
    Shorts shorts = {NULL, NULL, 2, 2, secret};
    while ((size_t)3 << shorts.groups_log2 < count) shorts.groups_log2++;
    while ((size_t)1 << shorts.slots_log2 < count + count / 4) shorts.slots_log2++;
    int done = 1;
    for (int tries = 0; done && tries < 3; tries++, shorts.slots_log2++) {
        shorts.words = empty_shorts((size_t)1 << shorts.slots_log2);
        shorts.factors = calloc((size_t)1 << shorts.groups_log2, sizeof *shorts.factors);
        done = shorts.words && shorts.factors;
        if (done && place_all(&shorts, hashed, count)) break;
        free(shorts.words);
        free(shorts.factors);
        shorts.words = NULL;
        shorts.factors = NULL;
    }
    free(hashed);
    model->shorts = shorts;
    return done;
}

/* build(architecture, classes, hidden, max_ngram, max_length, subwords, keys, words, ends, salts, bits, row_of, edges,
   weights, lower, lower_long, kind, rare): builds a student.

   keys      fingerprints of the entries; empty for strings
   words     the words' bytes, concatenated; None for fingerprints
   ends      where each of the words ends
   row_of    rows by place, starting with that of unknown words
   edges     triples: a place, the place of the next word, the place that they lead to

   These are uint32, `weights` float32. `rare` is a byte per row, 1 if it is; sources of earlier versions do not give it. */
static PyObject *build(PyObject *self, PyObject *arguments) {
    PyObject *keys, *words, *ends, *salts, *row_of, *edges, *weights, *lower, *lower_long, *kind, *rare = NULL;
    int architecture, classes, hidden, subwords, bits;
    unsigned int max_ngram, max_length;
    if (!PyArg_ParseTuple(arguments, "iiiIIpOOOOiOOOOOO|O", &architecture, &classes, &hidden, &max_ngram, &max_length,
                          &subwords, &keys, &words, &ends, &salts, &bits, &row_of, &edges, &weights, &lower, &lower_long,
                          &kind, &rare))
        return NULL;
    char ascii[128];
    for (int i = 0; i < 128; i++) ascii[i] = (char)i;
    if (!learn_kinds(kind, ascii, 128)) return NULL;
    Model *model = calloc(1, sizeof *model);
    if (!model) return PyErr_NoMemory();
    *model = (Model){.architecture = architecture, .classes = classes, .hidden = hidden, .max_ngram = max_ngram,
                     .max_length = max_length, .subwords = subwords, .bits = bits, .strings = words != Py_None,
                     .lower = lower, .lower_long = lower_long, .kind = kind};
    Py_INCREF(lower);
    Py_INCREF(lower_long);
    Py_INCREF(kind);
    model->width = (classes + LANES - 1) / LANES * LANES;
    model->cells = (hidden + LANES - 1) / LANES * LANES;
    Py_ssize_t known = 0, size = 0, buckets = 0;
    uint32_t *key = copy_of(keys, &known);
    known /= 4;
    int done = key && (model->row_of = copy_of(row_of, &size)) && (model->salts = copy_of(salts, &buckets)) &&
               (!rare || (model->rare = copy_of(rare, &size)));
    if (done && model->strings)
        done = (model->words = copy_of(words, &size)) && (model->word_ends = copy_of(ends, &known)) &&
               add_shorts(model, (uint32_t)(known /= 4));
    while (1 << model->buckets_log2 < buckets) model->buckets_log2++;
    for (model->slots = 4; model->slots < 2 * (size_t)known; model->slots *= 2) continue;
    done = done && add_edges(model, edges) && (model->slot = calloc(model->slots, sizeof *model->slot));
    for (Py_ssize_t i = 0; done && i < known; i++) {
        uint32_t start = model->strings && i ? model->word_ends[i - 1] : 0;
        uint32_t of = model->strings ? hash_of_word(model->words + start, model->word_ends[i] - start) : key[i];
        uint32_t at = slot_of(model, of);
        while (model->slot[at].place) at = (at + 1) & (model->slots - 1);
        model->slot[at] = (struct slot){of, (uint32_t)i + 1};
    }
    free(key);
    for (Py_ssize_t i = 0; done && i < PyTuple_Size(weights) && i < 8; i++) {
        done = !PyObject_GetBuffer(PyTuple_GetItem(weights, i), &model->views[i], PyBUF_SIMPLE);
        model->weights[i] = model->views[i].buf;
    }
    PyObject *capsule = done ? PyCapsule_New(model, "potstill.student", capsule_free) : NULL;
    if (!capsule) {
        model_free(model);
        if (!PyErr_Occurred()) PyErr_NoMemory();
    }
    return capsule;
}

static PyMethodDef methods[] = {
    {"build", build, METH_VARARGS, "Build a student from folded weights."},
    {"score_list", score_list, METH_VARARGS, "Score a list or tuple of strings: a bytearray of logits, probabilities or ids."},
    {"score_arrow_array", score_arrow_array, METH_VARARGS, "Score what `__arrow_c_array__` returns."},
    {"score_arrow_stream", score_arrow_stream, METH_VARARGS, "Score what `__arrow_c_stream__` returns."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_potstill", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__potstill(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        crc_table[i] = crc;
    }
    PyObject *os = PyImport_ImportModule("os");
    PyObject *random = os ? PyObject_CallMethod(os, "urandom", "i", (int)sizeof secret) : NULL;
    Py_XDECREF(os);
    if (!random) return NULL;
    memcpy(&secret, PyBytes_AsString(random), sizeof secret);
    Py_DECREF(random);
    for (int i = 0; i < 64; i++) zero_to_63[i] = (uint8_t)i;
    for (int size = 0; size < 32; size++) {
        masks[size] = size < 8 ? ((uint64_t)1 << 8 * size) - 1 : ~(uint64_t)0;
        masks[32 + size] = size < 9 ? 0 : size < 16 ? ((uint64_t)1 << 8 * (size - 8)) - 1 : ~(uint64_t)0;
    }
    pick_loops();
    return PyModule_Create(&definition);
}
