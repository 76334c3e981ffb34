// Reads and writes safetensors files: eight bytes with the header's length, a JSON header, the tensors' bytes.
// A tensor here is {shape, data}, with data a typed array in C order. Not here: dtypes that the example does not meet.
import { readFileSync, writeFileSync } from "node:fs";

const READERS = { F32: Float32Array, F64: Float64Array, I32: Int32Array };

/** All tensors of a file by name, and the header's `__metadata__`. */
export function readSafetensors(path) {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    if (!(dtype in READERS)) throw new Error(`${path}: ${name} has dtype ${dtype}, which is not read here`);
    const start = bytes.byteOffset + 8 + headerLength;
    const copy = bytes.buffer.slice(start + begin, start + end); // aligned, as typed arrays need it
    tensors[name] = { shape, data: new READERS[dtype](copy) };
  }
  return { tensors, metadata };
}

/** Write float32 tensors, in the order of the Map's keys, with the texts of `metadata`. */
export function writeSafetensors(path, tensors, metadata) {
  const header = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const parts = [...tensors.values()].map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  writeFileSync(path, Buffer.concat([length, Buffer.from(text), ...parts]));
}
