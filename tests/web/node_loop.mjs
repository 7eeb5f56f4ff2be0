// Runs functions of tests: one request {module, body, args} a line, one answer {result} or {error} a line.

import { createInterface } from "node:readline";

let number = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { module, body, args } = JSON.parse(line);
  let answer;
  try {
    const lib = await import(`${module}?${(number += 1)}`); // a module of its own: nothing is left of the test before
    answer = { result: (await (0, eval)(`(${body})`)(lib, ...args)) ?? null };
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
