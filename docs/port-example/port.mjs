// Runs the port on what a reference trace was made of, and writes a trace of its own under the same names.
//
//     node docs/port-example/port.mjs MODEL_FOLDER REFERENCE.safetensors MINE.safetensors
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Model } from "./model.mjs";
import { readSafetensors, writeSafetensors } from "./safetensors.mjs";

const [folder, reference, mine] = process.argv.slice(2);
const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
const inputs = JSON.parse(readSafetensors(reference).metadata.inputs);
const points = new Map();
const model = new Model(config, readSafetensors(join(folder, "model.safetensors")).tensors, (name, tensor) =>
  points.set(name, tensor),
);

const sourceMask = inputs.attention_mask, target = inputs.decoder_input_ids;
const states = model.encode(inputs.input_ids, sourceMask);
const cache = model.start(states);
for (let begin = 0, end = inputs.prefill; begin < target[0].length; begin = end, end += 1) {
  const prefix = begin === 0 ? "prefill." : `step${begin - inputs.prefill + 1}.`;
  const part = target.map((row) => row.slice(begin, end));
  model.decode(part, cache, sourceMask, inputs.decoder_attention_mask, prefix);
}
writeSafetensors(mine, points, { points: JSON.stringify([...points.keys()]) });
