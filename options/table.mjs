// Every option of a transfer, each declared once, in the order of the help. What a row says:
//   name      the option of the API; its documentation is in ts/options.ts
//   kind      what kind of value it has, with its defaults, see kinds.mjs
//   calls     which calls take it, see calls.mjs; `sync` and `plan` unless it says otherwise
//   field     member and number in the request, and whether it is optional: a peer that does not know it passes over it.
//             Numbers are never used again, and whether a field is optional never changes
//   asked     when a request asks for it, as an expression in Rust, where its kind does not tell: a server may refuse that
//   meaning   one sentence for readers of the sources and of docs/options.md
//   flag      the flag of the command, `short` its letter, `value` what its value is called, `bare` the value of the flag
//             alone, `off` the value of `--no-FLAG` (without it the default), `many` whether it may be repeated, `help` one line
//   placed    where the flag stands among others counts
//   aliases   further long names of the flag, which the help does not show
//   from      in place of a flag, the flag of another option that says it as well
//   flags     in place of one flag, flags that each stand for one word
//   choices   for a flag of no kind of words, the list of what its value can be, and the module that it is from
//   project   a file of settings in the working directory may set it: it leaves out more, or tells of a run otherwise
//   verify    the line of help in `sparsync verify`, `true` for the same; without it `verify` has no such flag
//   doubled   the flag that it stands for when it is given twice
//   twice     why the flag may not stand twice, where that means something else in rsync
//   implies   flags that it turns on as well; `partsImply`: those that the parts of its value turn on, each the one in its place; `hidden`: not in the help; `shared`: other verbs have the flag too
import * as accepted from './accepted.mjs';
import * as compare from './compare.mjs';
import * as connection from './connection.mjs';
import * as deletion from './deletion.mjs';
import * as metadata from './metadata.mjs';
import * as output from './output.mjs';
import * as run from './run.mjs';
import * as transfer from './transfer.mjs';
import * as writing from './writing.mjs';

export const GROUPS = [transfer, metadata, compare, writing, deletion, run, output, connection, accepted];
