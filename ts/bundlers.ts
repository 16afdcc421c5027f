// For bundlers alone: they follow no path that is known at run time only, so these imports show them the binary.
//
// A build that stops here wants to know what to do with a file that is no JavaScript. Either leave this package out of
// the bundle (esbuild: --external:sparsync-native) and install it where the bundle runs, or put the binary beside the
// bundle (esbuild: --loader:.node=file). docs/bundlers.md says it for other bundlers.

/** The import of a binary by a bundler: the name of the file that it put beside the bundle, or the binary's exports. */
export type Bundled = { readonly default: unknown };

/** The binary for a target, if a bundler has included it. Without a bundler this throws. */
export async function bundled(target: string): Promise<Bundled | undefined> {
  // In a `try`, a package that is not installed does not fail the build. esbuild shows the words after each name.
  try {
    if (target === 'linux-x64-gnu')
      return await import(
        'sparsync-native-linux-x64-gnu' // loader: file
      );
    if (target === 'linux-arm64-gnu')
      return await import(
        'sparsync-native-linux-arm64-gnu' // loader: file
      );
    if (target === 'linux-x64-musl')
      return await import(
        'sparsync-native-linux-x64-musl' // loader: file
      );
    if (target === 'linux-arm64-musl')
      return await import(
        'sparsync-native-linux-arm64-musl' // loader: file
      );
  } catch {
    // This is no bundle, or the bundle has no binary.
  }
  return undefined;
}
