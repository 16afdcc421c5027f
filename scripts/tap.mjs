// Counting results: TAP (ava, our checks) and the closing lines of cargo test.

/** Counts of a TAP stream's top-level test points, with the names of those that failed or were skipped. */
export function countTap(text) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  for (const line of text.split('\n')) {
    const point = /^(not )?ok(?: \d+)?(?: - )?(.*)$/.exec(line);
    if (!point) continue;
    const [, failed, description] = point;
    const name = description.replace(/ # (SKIP|TODO).*$/i, '');
    if (/ # (SKIP|TODO)/i.test(description)) {
      counts.skipped += 1;
      counts.skips.push(name);
    } else if (failed) {
      counts.failed += 1;
      counts.failures.push(name);
    } else {
      counts.passed += 1;
    }
  }
  return counts;
}

/** Counts of a `cargo test` run: one closing line for each test program. A test that could not be run here has a line that says so. */
export function countCargo(text) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  for (const [, passed, failed, ignored] of text.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm,
  )) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  for (const [, name, outcome] of text.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (FAILED|ignored)/gm)) {
    (outcome === 'FAILED' ? counts.failures : counts.skips).push(name);
  }
  for (const [, name, reason] of text.matchAll(/^skipped: (\S+): (.*)$/gm)) {
    counts.passed -= 1;
    counts.skipped += 1;
    counts.skips.push(`${name} (${reason})`);
  }
  return counts;
}

/** Runs named checks one after another and prints TAP; the process fails when one does. A check that returns a string is skipped, for that reason. */
export async function runChecks(checks) {
  let number = 0;
  for (const [name, check] of Object.entries(checks)) {
    number += 1;
    try {
      const reason = await check();
      console.log(`ok ${number} - ${name}${typeof reason === 'string' ? ` # SKIP ${reason}` : ''}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`not ok ${number} - ${name}`);
      console.log(String(error.stack ?? error).replace(/^/gm, '  '));
    }
  }
  console.log(`1..${number}`);
}
