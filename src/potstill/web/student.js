// The runtime in JavaScript: reads a model file and predicts as potstill.Student does.
//   const student = await load(bytes);  // of student.pot, a Uint8Array
//   student.predict("a text")   // probabilities, in the order of student.labels; if multi-label, see .thresholds
//   student.answers(student.predict("a text"))  // whether the guarantee holds; true without one, see student.guarantee
//   student.inScope("a text")   // false for one unlike the training data; null if the file does not know
//   student.explain("a text")   // {label, probability, words: [{word, known, score}]}, at most EXPLAINED words
// See file.py, facts.py, tokenizer.py and networks.py in potstill/runtime: both reject the same files.

const ARCHITECTURES = ["mlp", "attention", "cnn", "bigru"];
const EXPLAINED = 1000, SHARED = 128, STRINGS = 64, CALIBRATED = 32, MULTI_LABEL = 16, SUBWORDS = 8;
const FIGURES = ["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error"];
const SCOPE = ["threshold", "false_alarms", "false_alarms_high", "texts"];
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
// Scripts without spaces between words.
const ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff" +
  "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\u{1aff0}-\u{1b16f}\u{20000}-\u{3fffd}";
const MARK = "\\p{M}\\u200c\\u200d", LETTER = "\\p{L}\\p{N}_";
const WORD = new RegExp(
  `(?![${MARK}])(?:[${ALONE}][${MARK}]*|(?:(?![${ALONE}])[${LETTER}]|[${MARK}])+|[^${LETTER}${SPACE}])`, "gu");
const CRC = Uint32Array.from({ length: 256 }, (_, i) => {
  for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
  return i;
});

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

export function words(text) {
  const lower = text.replace(/\p{Cs}/gu, "?").replace(/İ/g, "i").replace(/Σ/g, "σ").toLowerCase();
  return lower.match(WORD) ?? [];
}

function fingerprint(entry, salts, bits) {
  const crc = crc32(new TextEncoder().encode(entry)), buckets = Math.log2(salts.length), width = bits - buckets;
  const bucket = buckets ? (Math.imul(crc, 0x9e3779b1) >>> 0) >>> (32 - buckets) : 0;
  let mixed = Math.imul(crc ^ Math.imul(salts[bucket] + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return bucket * 2 ** width + (width ? mixed >>> (32 - width) : 0);
}

function need(right, otherwise = "not a potstill model file") {
  if (!right) throw new Error(otherwise);
}

const decoder = () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

async function inflate(bytes, maxSize) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader(), utf8 = decoder();
  let text = "", size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + utf8.decode();
    need((size += value.length) <= maxSize);
    text += utf8.decode(value, { stream: true });
  }
}

// Reads and checks the facts, given the sizes of vocabulary and table, and the number of classes (0: multi-label).
async function readFacts(bytes, maxSize, entries, size, classes) {
  if (!bytes.length) return {};
  // Node.js ignores trailing bytes and needs no last one.
  need(await inflate(bytes.subarray(0, -1), maxSize).then(() => false, () => true));
  const facts = JSON.parse(await inflate(bytes, maxSize));
  const text = (x) => typeof x === "string", number = (x) => typeof x === "number";
  const table = (of) => (x) => Object(x) === x && !Array.isArray(x) && Object.values(x).every(of);
  const list = (of) => (x) => Array.isArray(x) && x.every(of);
  const object = table(() => true), share = (x) => number(x) && x >= 0 && x <= 1;
  const sound = (x, depth) => {
    if (text(x)) return !/\p{Cs}/u.test(x);
    if (number(x)) return isFinite(x);
    return Object(x) !== x || (depth > 0 && Object.entries(x).every(([k, v]) => sound(k) && sound(v, depth - 1)));
  };
  const count = (x) => Number.isSafeInteger(x) && 1 / x > 0; // no -0
  const shape = (kinds) => (x) => object(x) && Object.keys(x).length === Object.keys(kinds).length &&
    Object.keys(kinds).every((key) => Object.hasOwn(x, key) && kinds[key](x[key]));
  const inner = (x) => share(x) && x > 0 && x < 1, maybe = (x) => x === null || share(x);
  const promise = {
    kind: (x) => ["accuracy", "agreement"].includes(x), target: inner, confidence: inner,
    per_class: (x) => typeof x === "boolean", rows: count, answered: share,
    thresholds: (x) => list(maybe)(x) && x.length === classes && classes > 0,
  };
  const outcome = shape({ rows: count, answered: share, kept: maybe });
  const kinds = {
    version: text, params: object, rows: table(count),
    sha256: table(text), metrics: table((x) => table(number)(x) && FIGURES.every((name) => share(x[name]))),
    teachers: table(share), labelled_by_teacher: list(text), untested_teachers: list(text), words: text,
    guarantee: (x) => shape(promise)(x) || shape({ ...promise, test: outcome })(x),
    scope: (x) => {
      if (!object(x)) return false;
      const { rare, ...numbers } = x;
      return table(number)(numbers) && SCOPE.every((name, i) => (i % 3 ? share : number)(numbers[name])) &&
        "rare" in x === "weight" in numbers && (!("rare" in x) || (list(count)(rare) && sum(rare) <= size));
    },
  };
  need(object(facts) && sound(facts, 8));
  for (const name in kinds) need(!(name in facts) || kinds[name](facts[name]));
  const { words, metrics, rows } = facts;
  need(!text(words) || (words ? words.split("\n").length === entries && !/(^|[ \n])([ \n]|$)/.test(words) : !entries));
  if (metrics) {
    need(["version", "rows", "sha256", "teachers"].every((name) => name in facts));
    need(["train", "unlabelled", ...Object.keys(metrics)].every((name) => Object.hasOwn(rows, name)));
  }
  return facts;
}

// Whether a precedes b in the order of code points.
function precedes(a, b) {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return (a.codePointAt(i) ?? -1) < (b.codePointAt(i) ?? -1);
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  need(exponent < 31);
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024);
}

export async function load(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  need(bytes.length >= 8 && view.getUint32(0) === 0x706f7431); // "pot1"
  need(crc32(bytes.subarray(8)) === view.getUint32(4, true), "the file is damaged");
  const [code, tableBits, otherBits, bits, riceBits, maxNgram, bucketsLog2] = bytes.subarray(8, 15);
  const [embedding, hidden, maxLength] = [15, 17, 19].map((at) => view.getUint16(at, true));
  const count = view.getUint32(21, true), labelsSize = view.getUint16(25, true);
  let at = 27, rows = count, temperature = 1;
  if (code & SHARED) rows = view.getUint32((at += 4) - 4, true);
  if (code & CALIBRATED) temperature = view.getFloat32((at += 4) - 4, true);
  const index = code & 7, architecture = ARCHITECTURES[index], strings = code & STRINGS;
  need(index !== 4, "the architecture bilstm is no longer supported");
  need(architecture && [tableBits, otherBits].every((width) => (width >= 2 && width <= 8) || width === 32));
  need(strings ? !(bits || riceBits || bucketsLog2) : bucketsLog2 <= bits && bits <= 32 && riceBits <= 31);
  need(Math.min(embedding, hidden, maxLength, count, rows, maxNgram) >= 1 && Math.max(embedding, hidden) <= 1024);
  need(maxNgram <= (architecture === "mlp" && !(code & SUBWORDS) ? 5 : 1) && rows <= count && count <= 1 << 18);
  need(temperature >= 1e-3 && temperature <= 1e3);
  const part = (size) => (need(at + size <= bytes.length, "the file ends too early"), bytes.subarray(at, (at += size)));
  const labels = decoder().decode(part(labelsSize)).split("\n");
  need(labels.every(Boolean) && new Set(labels).size === labels.length);
  const salts = strings ? [] : part(2 ** bucketsLog2);

  let bit = 8 * at;
  const left = (size) => need(bit + size <= 8 * bytes.length, "the file ends too early");
  const take = (width) => {
    left(width);
    let value = 0;
    for (; width; width--, bit++) value = 2 * value + ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1);
    return value;
  };
  const thresholds = code & MULTI_LABEL ? labels.map(() => half(take(16))) : null;
  need(!thresholds || thresholds.every((threshold) => threshold >= 0 && threshold <= 1));
  const prints = [];
  for (let i = 1, last = -1, ones = 0; i < count && !strings; i++) {
    let gap = 0;
    for (; take(1); gap++) need(++ones <= 2 * (count - 1));
    prints.push((last += gap * 2 ** riceBits + take(riceBits) + 1));
  }
  need(!(prints.at(-1) >= 2 ** bits));
  const rowWidth = Math.max(1, 32 - Math.clz32(Math.max(0, rows - 2)));
  if (code & SHARED) left((count - 1) * rowWidth);
  const rowOf = Array.from({ length: count - 1 }, (_, i) => (code & SHARED ? 1 + take(rowWidth) : 1 + i));
  need(max([0, ...rowOf]) === rows - 1);
  const weights = (size, width = otherBits) => {
    const step = width === 32 ? 1 : half(take(16)), single = new DataView(new ArrayBuffer(4));
    need(step > 0), left(size * width);
    return Float32Array.from({ length: size }, () => {
      if (width < 32) return step * (take(width) - 2 ** (width - 1));
      single.setUint32(0, take(32));
      need(Math.abs(single.getFloat32(0)) <= 1 << 23);
      return single.getFloat32(0);
    });
  };
  const recurrent = architecture === "bigru", size = recurrent || architecture === "cnn" ? embedding : hidden;
  const net = { architecture, size, hidden, table: weights(rows * size, tableBits) };
  if (architecture === "attention") net.kernel = weights(hidden * 5), net.bias = weights(1);
  if (architecture === "cnn") net.kernel = weights(hidden * size * 3), net.bias = weights(hidden);
  if (recurrent) {
    const direction = () => [size, hidden, 1, 1].map((n) => weights(3 * hidden * n));
    net.directions = [direction(), direction()];
  }
  const features = recurrent ? 2 * hidden : hidden;
  net.head = weights(labels.length * features), net.headBias = weights(labels.length);

  const maxSize = Math.min(2 ** 23, 8 * (bytes.length - 8) + 2 ** 20);
  const classes = thresholds ? 0 : labels.length;
  const facts = await readFacts(bytes.subarray((bit + 7) >> 3), maxSize, count - 1, rows, classes);
  need(!strings || "words" in facts);
  const entries = strings && count > 1 ? facts.words.split("\n") : [];
  need(entries.every((entry, i) => !i || precedes(entries[i - 1], entry)));
  const rare = new Uint8Array(rows);
  (facts.scope?.rare ?? []).reduce((from, run, i) => rare.fill(1 - (i % 2), from, from + run) && from + run, 0);
  const known = new Map(entries.map((entry, i) => [entry, rowOf[i]]));
  const rowOfPrint = (print) => {
    let low = 0;
    for (let high = prints.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (prints[middle] < print) low = middle + 1;
      else high = middle;
    }
    return prints[low] === print ? rowOf[low] : 0;
  };
  const row = (entry) => (strings ? known.get(entry) : rowOfPrint(fingerprint(entry, salts, bits))) ?? 0;

  // The rows of a word's longest pieces; [0] if a part of it is not known.
  const split = (word) => {
    const rows = [], characters = Array.from(word);
    for (let start = 0; start < characters.length && characters.length <= 100; ) {
      let end = Math.min(start + 32, characters.length) + 1, id = 0;
      while (!id && --end > start) id = row((start ? "##" : "") + characters.slice(start, end).join(""));
      if (!id) return [0];
      rows.push(id), (start = end);
    }
    return rows.length ? rows : [0];
  };
  // The rows of words or their pieces, and of n-grams, each with the range of its words, and whether it goes if one is
  // occluded; otherwise it becomes unknown.
  const encode = (found) => {
    const rows = found.flatMap((word, i) => {
      const id = row(word);
      return (id || !(code & SUBWORDS) ? [id] : split(word)).map((id, j) => [id, i, i + 1, j]);
    });
    for (let length = 2; length <= maxNgram; length++)
      for (let i = 0; i + length <= found.length; i++) {
        const id = row(found.slice(i, i + length).join(" "));
        if (id) rows.push([id, i, i + length, 1]);
      }
    return rows.length ? rows : [[0, 0, 1]];
  };
  const logits = (ids) => forward(net, ids).map((x) => x / temperature);
  const logs = thresholds ? (x) => x.map((y) => logSoftmax([0, y])[1]) : logSoftmax;
  // Log-probabilities, optionally with a word occluded.
  const score = (rows, occluded = -1) => {
    const ids = rows.flatMap(([id, from, to, goes]) => (occluded < from || occluded >= to ? id : goes ? [] : 0));
    return logs(logits(ids));
  };
  const cut = (text) => words(text).slice(0, maxLength);
  return {
    labels, thresholds, facts, guarantee: facts.guarantee, bytes: bytes.length,
    answers: (shares) => !facts.guarantee || max(shares) >= (facts.guarantee.thresholds[shares.indexOf(max(shares))] ?? 2),
    predict: (text) => score(encode(cut(text))).map(Math.exp),
    inScope: (text) => {
      if (!facts.scope) return null;
      const { threshold, weight } = facts.scope, ids = encode(cut(text)).map(([id]) => id), x = logits(ids);
      const energy = thresholds ? sum(x.map((y) => -logSoftmax([0, y])[0])) : x[0] - logSoftmax(x)[0];
      return energy - (weight ?? 0) * (sum(ids.map((id) => rare[id])) / ids.length) >= threshold;
    },
    explain: (text, label) => {
      const found = cut(text), rows = encode(found), all = score(rows);
      const column = label === undefined ? all.indexOf(max(all)) : labels.indexOf(label);
      const words = found.slice(0, EXPLAINED).map((word, i) => ({
        word, known: rows.some(([id, from, to]) => id && from <= i && i < to),
        score: all[column] - score(rows, i)[column],
      }));
      return { label: labels[column], probability: Math.exp(all[column]), words };
    },
  };
}

// Math.max(...x) fails on long arrays.
const max = (x) => x.reduce((a, b) => Math.max(a, b)), sum = (x) => x.reduce((a, b) => a + b, 0);

function logSoftmax(x) {
  const most = max(x), total = Math.log(x.reduce((sum, y) => sum + Math.exp(y - most), 0));
  return x.map((y) => y - most - total);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function forward(net, ids) {
  const { architecture, size, hidden, table } = net, features = [];
  const vectors = ids.map((id) => table.subarray(id * size, (id + 1) * size));
  const dot = (matrix, line, vector) => {
    let sum = 0;
    for (let i = 0; i < vector.length; i++) sum += matrix[line * vector.length + i] * vector[i];
    return sum;
  };
  // One channel of a kernel (channel, size, width).
  const convolve = (channel, position, width) => {
    let sum = net.bias[channel];
    for (let w = 0; w < width; w++) {
      const vector = vectors[position + w - (width >> 1)];
      for (let i = 0; vector && i < size; i++) sum += net.kernel[(channel * size + i) * width + w] * vector[i];
    }
    return sum;
  };
  if (net.directions) {
    for (const [backwards, [inputs, states, inputBias, stateBias]] of net.directions.entries()) {
      let state = new Float64Array(hidden);
      const most = state.map(() => -1);
      for (const vector of backwards ? [...vectors].reverse() : vectors) {
        const x = (gate, i) => dot(inputs, gate * hidden + i, vector) + inputBias[gate * hidden + i];
        const h = (gate, i) => dot(states, gate * hidden + i, state) + stateBias[gate * hidden + i];
        state = state.map((old, i) => {
          const fresh = Math.tanh(x(2, i) + sigmoid(x(0, i) + h(0, i)) * h(2, i));
          return fresh + sigmoid(x(1, i) + h(1, i)) * (old - fresh);
        });
        state.forEach((value, i) => (most[i] = Math.max(most[i], value)));
      }
      features.push(...most);
    }
  } else if (architecture === "cnn") {
    for (let c = 0; c < hidden; c++) features.push(max([0, ...vectors.map((_, t) => convolve(c, t, 3))]));
  } else {
    const shares = logSoftmax(vectors.map((_, t) => (architecture === "mlp" ? 0 : convolve(0, t, 5)))).map(Math.exp);
    for (let i = 0; i < size; i++) features.push(vectors.reduce((sum, vector, t) => sum + shares[t] * vector[i], 0));
  }
  return Array.from(net.headBias, (bias, label) => dot(net.head, label, features) + bias);
}
