// For bundlers alone: they follow no path that is known at run time only, so these imports show them the binary.
//
// A build that stops here wants to know what to do with a file that is no JavaScript. Either leave this package out of
// the bundle (esbuild: --external:sparsync-native) and install it where the bundle runs, or put the binary beside the
// bundle (esbuild: --loader:.node=file). docs/bundlers.md says it for other bundlers.

/** What a bundler made of the binary: the name of the file that it put beside the bundle, or what the binary exports. */
export type Bundled = { readonly default: unknown };

/** The binary for a target, where a bundler has seen to it. Anywhere else this ends with an error. */
export async function bundled(target: string): Promise<Bundled | undefined> {
  // In a `try`, what is not installed is no error of the build. The words after each name are what esbuild shows.
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
    // Here is no bundle, or the binary was left out of it.
  }
  return undefined;
}
