// A student in JavaScript: reads potstill's file, and answers as potstill.Student does.
//   const student = await load(bytes);  // of student.pot, a Uint8Array
//   student.predict("a text")   // probabilities, as student.labels; several from .thresholds on
//   student.explain("a text")   // {label, probability, words: [{word, known, part}]}
// potstill/runtime describes it: file.py, tokenizer.py, networks.py.

const ARCHITECTURES = ["mlp", "attention", "cnn", "bigru", "bilstm"];
const SHARED = 128, STRINGS = 64, CALIBRATED = 32, SEVERAL = 16, LARGEST_FACTS = 1 << 26;
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

function fail(why) {
  throw new Error(why);
}

const strict = () => new TextDecoder("utf-8", { fatal: true });

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader(), decoder = strict();
  let text = "", size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    if ((size += value.length) > LARGEST_FACTS) fail("its facts are too long");
    text += decoder.decode(value, { stream: true });
  }
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) fail("numbers out of range");
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : (2 ** -14 * fraction) / 1024);
}

export async function load(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 29 || view.getUint32(0) !== 0x706f7431) fail("no student's file"); // "pot1"
  if (crc32(bytes.subarray(8)) !== view.getUint32(4, true)) fail("the file is damaged");
  const [flags, tableBits, otherBits, bits, rice, longest, buckets] = bytes.subarray(8, 15);
  const [embedding, hidden, maxLength] = [15, 17, 19].map((at) => view.getUint16(at, true));
  const count = view.getUint32(21, true), named = view.getUint16(25, true);
  let at = 27, rows = count, temperature = 1;
  if (flags & SHARED) rows = view.getUint32((at += 4) - 4, true);
  if (flags & CALIBRATED) temperature = view.getFloat32((at += 4) - 4, true);
  const labels = strict().decode(bytes.subarray(at, (at += named))).split("\n");
  const salts = flags & STRINGS ? [] : bytes.subarray(at, (at += 1 << buckets));

  let bit = 8 * at;
  const take = (width) => {
    if (bit + width > 8 * bytes.length) fail("the file ends too early");
    let value = 0;
    for (; width; width--, bit++) value = 2 * value + ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1);
    return value;
  };
  const thresholds = flags & SEVERAL ? labels.map(() => half(take(16))) : null;
  const prints = [];
  for (let i = 1, last = -1; i < count && !(flags & STRINGS); i++) {
    let gap = 0;
    while (take(1)) gap++;
    prints.push((last += gap * 2 ** rice + take(rice) + 1));
  }
  const rowWidth = Math.max(1, 32 - Math.clz32(Math.max(0, rows - 2)));
  const rowOf = Array.from({ length: count - 1 }, (_, i) => (flags & SHARED ? 1 + take(rowWidth) : 1 + i));
  const numbers = (size, width = otherBits) => {
    if (size > 8 * bytes.length) fail("numbers out of range");
    const step = width === 32 ? 1 : half(take(16)), single = new DataView(new ArrayBuffer(4));
    return Float64Array.from({ length: size }, () => {
      if (width < 32) return step * (take(width) - 2 ** (width - 1));
      single.setUint32(0, take(32));
      return single.getFloat32(0);
    });
  };
  const name = ARCHITECTURES[flags & (SEVERAL - 1)];
  const gates = { bigru: 3, bilstm: 4 }[name] ?? 0;
  const size = gates || name === "cnn" ? embedding : hidden;
  const net = { name, size, hidden, table: numbers(rows * size, tableBits) };
  if (name === "attention") net.kernel = numbers(hidden * 5), net.bias = numbers(1);
  if (name === "cnn") net.kernel = numbers(hidden * size * 3), net.bias = numbers(hidden);
  if (gates) {
    const side = () => [size, hidden, 1, 1].map((n) => numbers(gates * hidden * n));
    net.sides = [side(), side()];
  }
  const features = gates ? 2 * hidden : hidden;
  net.head = numbers(labels.length * features), net.headBias = numbers(labels.length);

  const rest = bytes.subarray((bit + 7) >> 3), facts = rest.length ? JSON.parse(await inflate(rest)) : {};
  const entries = facts.words ? facts.words.split("\n") : [];
  if (flags & STRINGS && entries.length !== count - 1) fail("its words are missing");
  const known = new Map((flags & STRINGS ? entries : prints).map((key, i) => [key, rowOf[i]]));
  const row = (entry) => known.get(flags & STRINGS ? entry : fingerprint(entry, salts, bits)) ?? 0;

  // Rows; `without` is a word to take for an unknown one.
  const encode = (found, without = -1) => {
    const ids = found.map((word, i) => (i === without ? 0 : row(word)));
    for (let length = 2; length <= longest; length++)
      for (let i = 0; i + length <= found.length; i++) {
        const id = i <= without && without < i + length ? 0 : row(found.slice(i, i + length).join(" "));
        if (id) ids.push(id);
      }
    return ids.length ? ids : [0];
  };
  const shares = thresholds ? (x) => x.map(sigmoid) : softmax;
  const answer = (ids) => shares(scores(net, ids).map((logit) => logit / temperature));
  const cut = (text) => words(text).slice(0, maxLength);
  return {
    labels, thresholds, facts, bytes: bytes.length,
    predict: (text) => answer(encode(cut(text))),
    explain: (text, label) => {
      const found = cut(text), ids = encode(found), all = answer(ids);
      const column = label === undefined ? all.indexOf(Math.max(...all)) : labels.indexOf(label);
      const probability = all[column], parts = found.map((word, i) => {
        const less = encode(found, i);
        return { word, known: `${less}` !== `${ids}`, part: Math.log(probability / answer(less)[column]) };
      });
      return { label: labels[column], probability, words: parts };
    },
  };
}

function softmax(logits) {
  const most = Math.max(...logits), odds = logits.map((logit) => Math.exp(logit - most));
  const total = odds.reduce((a, b) => a + b);
  return odds.map((odd) => odd / total);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function scores(net, ids) {
  const { size, hidden, table } = net, features = [];
  const vectors = ids.map((id) => table.subarray(id * size, (id + 1) * size));
  const dot = (matrix, line, vector) => {
    let sum = 0;
    for (let i = 0; i < vector.length; i++) sum += matrix[line * vector.length + i] * vector[i];
    return sum;
  };
  // One channel of a kernel (channel, size, width) at a place.
  const convolve = (channel, place, width) => {
    let sum = net.bias[channel];
    for (let w = 0; w < width; w++) {
      const vector = vectors[place + w - (width >> 1)];
      for (let i = 0; vector && i < size; i++) sum += net.kernel[(channel * size + i) * width + w] * vector[i];
    }
    return sum;
  };
  if (net.sides) {
    for (const [side, [input, last, inputBias, lastBias]] of net.sides.entries()) {
      let state = new Float64Array(hidden), memory = state;
      const most = state.map(() => -1);
      for (const vector of side ? [...vectors].reverse() : vectors) {
        const x = (gate, i) => dot(input, gate * hidden + i, vector) + inputBias[gate * hidden + i];
        const h = (gate, i) => dot(last, gate * hidden + i, state) + lastBias[gate * hidden + i];
        const both = (gate, i) => x(gate, i) + h(gate, i);
        if (net.name === "bigru") {
          state = state.map((old, i) => {
            const fresh = Math.tanh(x(2, i) + sigmoid(both(0, i)) * h(2, i));
            return fresh + sigmoid(both(1, i)) * (old - fresh);
          });
        } else {
          memory = memory.map((m, i) => sigmoid(both(1, i)) * m + sigmoid(both(0, i)) * Math.tanh(both(2, i)));
          state = state.map((_, i) => sigmoid(both(3, i)) * Math.tanh(memory[i]));
        }
        state.forEach((value, i) => (most[i] = Math.max(most[i], value)));
      }
      features.push(...most);
    }
  } else if (net.name === "cnn") {
    for (let c = 0; c < hidden; c++) features.push(Math.max(0, ...vectors.map((_, place) => convolve(c, place, 3))));
  } else {
    const shares = softmax(vectors.map((_, place) => (net.name === "mlp" ? 0 : convolve(0, place, 5))));
    for (let i = 0; i < size; i++) features.push(vectors.reduce((sum, vector, t) => sum + shares[t] * vector[i], 0));
  }
  return Array.from(net.headBias, (bias, label) => dot(net.head, label, features) + bias);
}
