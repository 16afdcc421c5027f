/**
 * An object with a property for each name. For objects with many similar properties, a literal would be code that takes
 * longer to compile, at each start of the command, than this takes to run.
 */
export function recordOf<const Name extends string, Value>(
  names: readonly Name[],
  valueOf: (name: Name, index: number) => Value,
): Record<Name, Value> {
  // The loop puts in each name.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const record = {} as Record<Name, Value>;
  // A callback allocates nothing for each name; an iterator would allocate an object for each step.
  names.forEach((name, index) => {
    record[name] = valueOf(name, index);
  });
  return record;
}
