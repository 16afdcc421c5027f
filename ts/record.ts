/**
 * An object with a property for each name. Of objects with many properties that are alike: a literal for them is code, which
 * takes longer to compile, at each start of the command, than this takes to run.
 */
export function recordOf<const Name extends string, Value>(
  names: readonly Name[],
  valueOf: (name: Name) => Value,
): Record<Name, Value> {
  // The loop puts in each name.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const record = {} as Record<Name, Value>;
  for (const name of names) record[name] = valueOf(name);
  return record;
}
