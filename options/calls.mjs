// Which calls of the API take an option; each takes those of the next one too.

/** `sync`, `plan` and `verify`. */
export const EVERY = 2;

/** `sync` and `plan`. */
export const PLANNED = 1;

/** `sync` alone: what only concerns writing. */
export const WRITING = 0;
