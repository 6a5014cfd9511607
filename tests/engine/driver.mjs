// Node at the other end of a pipe: a line of JSON comes, a line of JSON goes.
// `node driver.mjs minigpt.mjs model.js …`: the engine, and the models' scripts.

import fs from "node:fs";
import readline from "node:readline";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [module, ...scripts] = process.argv.slice(2);
const { default: minigpt } = await import(pathToFileURL(module));
globalThis.minigpt = { ...minigpt };
for (const script of scripts) vm.runInThisContext(fs.readFileSync(script, "utf8"));

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { code, argument } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (0, eval)(`(${code})`)(argument) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
