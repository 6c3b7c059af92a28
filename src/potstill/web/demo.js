// The live demo: shows what the student, which `student.js` loads, predicts for a text while it is typed.
const find = (id) => document.getElementById(id);
const create = (parent, tag, name = "", text = "") => {
  const element = parent.appendChild(document.createElement(tag));
  element.className = name;
  element.textContent = text;
  return element;
};
// A name, truncated if long; its tooltip has all of it.
const short = (name) => ([...name].length > 50 ? `${[...name].slice(0, 49).join("")}…` : name);
const percent = (share) => `${(100 * share).toFixed(1)}%`;

const rounded = (share) => `${+(100 * share).toFixed(4)}%`;
// What a guarantee promises, as `Guarantee` in guarantee.py says it.
const sentence = ({ kind, target, confidence, per_class, thresholds, answered, test }) =>
  thresholds.every((threshold) => threshold === null) ? "It abstains: there is no guarantee." :
    `Answers ${(100 * (test ?? { answered }).answered).toFixed(0)}% of texts; on ${per_class ? "those of each class it answers," : "those"} it ` +
    `${kind === "accuracy" ? "is right" : "agrees with its teacher"} on at least ${rounded(target)}, with ${rounded(confidence)} confidence.`;

try {
  // A link to the model file, whose address is the file itself.
  const [, content] = find("model").getAttribute("href").split(",");
  const student = await load(Uint8Array.from(atob(content), (c) => c.charCodeAt(0)));
  let selected; // the class to explain; if none is selected, the most probable one
  const rows = student.labels.map((label) => {
    const line = create(find("classes"), "label", "class");
    const radio = create(line, "input");
    Object.assign(radio, { type: "radio", name: "class", value: label });
    radio.addEventListener("change", () => { selected = label; show(); });
    create(line, "span", "", short(label)).title = short(label) === label ? "" : label;
    return { line, radio, bar: create(create(line, "div", "bar"), "div"), number: create(line, "output") };
  });
  const show = () => {
    const text = find("text").value, shares = student.predict(text), best = shares.indexOf(max(shares));
    const { thresholds } = student, chosen = shares.map((share, i) => (thresholds ? share >= thresholds[i] : i === best));
    if (!text.trim()) selected = undefined;
    const explained = student.explain(text, selected);
    rows.forEach(({ line, radio, bar, number }, i) => {
      line.classList.toggle("best", chosen[i]);
      radio.checked = student.labels[i] === explained.label;
      bar.style.width = percent(shares[i]);
      number.textContent = percent(shares[i]);
    });
    const answer = student.labels.map((label, i) => `${short(label)}, ${percent(shares[i])}`).filter((_, i) => chosen[i]);
    const sure = student.answers(shares) ? answer.join("; ") || "none of them" : `abstains (${answer[0]})`;
    const said = student.inScope(text) === false ? `none of these (unlike the training data); nearest: ${sure}` : sure;
    find("answer").textContent = text.trim() ? said : "";
    const strongest = max([1, ...explained.words.map(({ score }) => Math.abs(score))]);
    find("words").replaceChildren();
    for (const { word, known, score } of explained.words) {
      const span = create(find("words"), "span", known ? "" : "unknown", word);
      span.style.background = `rgba(var(--${score > 0 ? "for" : "against"}), ${(0.6 * Math.abs(score)) / strongest})`;
      span.title = `${score > 0 ? "+" : ""}${score.toFixed(2)}`;
      find("words").append(" ");
    }
    if (explained.words.length === EXPLAINED) find("words").append("…");
  };
  find("text").addEventListener("input", show);
  const examples = document.querySelectorAll("[data-example]");
  for (const example of examples) {
    example.addEventListener("click", () => { find("text").value = example.dataset.example; show(); });
  }
  examples[0]?.click();
  const tested = student.facts.metrics?.test, promise = student.guarantee;
  find("facts").textContent = `A classifier of ${student.bytes.toLocaleString("en")} bytes that runs in this page` +
    (tested ? `; ${percent(tested.accuracy)} of ${student.facts.rows.test.toLocaleString("en")} test texts right${student.thresholds ? " in all classes" : ""}.` : ".") +
    (promise ? ` ${sentence(promise)}` : "") + " Nothing you type leaves it.";
  show();
} catch (error) {
  find("answer").textContent = `This page does not work here: ${error.message}`;
}
