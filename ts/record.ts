/**
 * An object with a property for each name. Of objects with many properties that are alike: a literal for them is code, which
 * takes longer to compile, at each start of the command, than this takes to run.
 */
export function recordOf<const Name extends string, Value>(
  names: readonly Name[],
  valueOf: (name: Name, index: number) => Value,
): Record<Name, Value> {
  // The loop puts in each name.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const record = {} as Record<Name, Value>;
  // A call for each name leaves nothing behind; an iterator leaves an object for each step, at each sync.
  names.forEach((name, index) => {
    record[name] = valueOf(name, index);
  });
  return record;
}
