// Reads lines of JSON, {files: [base64, …], texts: [[…], …]}, and writes for each an array: per file the labels and the
// probabilities of its texts, or an error.
import { createInterface } from "node:readline";
const { load } = await import(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  const { files, texts } = JSON.parse(line), answers = [];
  for (const [i, file] of files.entries()) {
    try {
      const student = await load(new Uint8Array(Buffer.from(file, "base64")));
      const shares = texts[i].map(student.predict);
      texts[i].slice(0, 2).forEach((text) => student.explain(text));
      answers.push({ labels: student.labels, shares, answers: shares.map(student.answers) });
    } catch (error) {
      answers.push({ error: error.message });
    }
  }
  console.log(JSON.stringify(answers));
}
