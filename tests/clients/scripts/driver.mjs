// Reads calls as lines of JSON, answers each with a line: the JavaScript half of published.py.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// Gives a package of the directory that the command line names.
export async function load(name) {
  const require = createRequire(pathToFileURL(join(process.argv[2], "package.json")));
  return import(pathToFileURL(require.resolve(name)));
}

// Answers until there are no more lines. `tell` says more about what a client threw.
export async function drive(make, tell) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = { answer: await make(JSON.parse(line)) };
    } catch (error) {
      const kind = error?.constructor?.name ?? typeof error;
      answer = { error: { kind, message: String(error?.message ?? error), ...tell(error) } };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}
