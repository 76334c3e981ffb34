// Runs the port on what a trace of a golden pack was made of, and writes a trace of its own under the same names.
//
//     node docs/port-example/port.mjs PACK NAME OUT [--repaired N]
//
// NAME is that of a trace, PACK/forward/NAME.safetensors. With --repaired N the port is as it was first written, but for
// the first N of its mistakes; without it, all of them are repaired.
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { MISTAKES, Model } from "./model.mjs";
import { readSafetensors, writeSafetensors } from "./safetensors.mjs";

const KNOWN = [
  "input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask", "labels", "steps", "prefill",
];

const { values, positionals } = parseArgs({ options: { repaired: { type: "string" } }, allowPositionals: true });
const repaired = Number(values.repaired ?? MISTAKES.length);
if (positionals.length !== 3 || !(repaired >= 0 && repaired <= MISTAKES.length)) {
  console.error(`usage: port.mjs PACK NAME OUT [--repaired N], N from 0 to ${MISTAKES.length}`);
  process.exit(2);
}
const [pack, name, out] = positionals;
const config = JSON.parse(readFileSync(join(pack, "model", "config.json"), "utf8"));
const { tensors: weights } = readSafetensors(join(pack, "model", "model.safetensors"));
const inputs = JSON.parse(readSafetensors(join(pack, "forward", `${name}.safetensors`)).metadata.inputs);
const strange = Object.keys(inputs).filter((key) => !KNOWN.includes(key));
if (strange.length > 0) {
  console.error(`port.mjs: this port does not take ${strange.join(", ")}`);
  process.exit(2);
}

const points = new Map();
const model = new Model(config, weights, (point, tensor) => points.set(point, tensor), MISTAKES.slice(repaired));
const source = inputs.attention_mask ?? inputs.input_ids.map((row) => row.map(() => 1));
const target = inputs.decoder_input_ids, targetMask = inputs.decoder_attention_mask ?? target.map((row) => row.map(() => 1));
const cache = model.start(model.encode(inputs.input_ids, source));
if (inputs.steps) {
  for (let begin = 0, end = inputs.prefill; begin < target[0].length; begin = end, end += 1) {
    const prefix = begin === 0 ? "prefill." : `step${begin - inputs.prefill + 1}.`;
    model.decode(target.map((row) => row.slice(begin, end)), cache, source, targetMask, prefix);
  }
} else {
  const logProbabilities = model.decode(target, cache, source, targetMask, "");
  if (inputs.labels !== undefined) model.loss(logProbabilities, inputs.labels);
}
mkdirSync(dirname(out), { recursive: true });
writeSafetensors(out, points, { points: JSON.stringify([...points.keys()]) });
