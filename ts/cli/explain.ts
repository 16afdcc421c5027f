import { explain } from '../explain.js';
import type { Explanation } from '../explain.js';
import type { PlanOptions } from '../options.js';
import { NOT_IN_PLAN } from '../transfer.js';
import { connectOptions } from './connecting.js';
import { EXIT } from './exit-codes.js';
import { withFirstContact } from './first-contact.js';
import { printLine } from './json.js';
import { refuseRemoteList } from './lists.js';
import { endsOf, operandLocation, operandLocations } from './operands.js';
import { print } from './output.js';
import type { ParsedFlags } from './parse.js';
import { printError } from './report.js';
import { reporter } from './reporter.js';
import { transferOptions } from './sync-options.js';
import { safe } from './names.js';

/** `sparsync --explain=PATH ... SRC... DEST`: which rule decides about each path, and nothing else is done. */
export async function explainCommand(flags: ParsedFlags): Promise<number> {
  try {
    // This is called for its error messages about operands, which are those of a sync.
    endsOf(flags.operands);
    refuseRemoteList(flags);
    const operands = operandLocations(flags.operands.slice(0, -1));
    const destination = operandLocation(flags.operands.at(-1) ?? '');
    const options = { ...connectOptions(flags), ...(await planOptions(flags)) };
    for (const path of flags.words('explain')) {
      const told = await withFirstContact(
        options,
        () => new AbortController().signal,
        (connect) => explain(operands, destination, path, connect),
      );
      for (const one of told) await tell(one, reporter() === 'json');
    }
    return EXIT.ok;
  } catch (error) {
    return printError(error);
  }
}

/** The options of the sync, without those that only concern writing. */
async function planOptions(flags: ParsedFlags): Promise<PlanOptions> {
  const writing: readonly string[] = NOT_IN_PLAN;
  const options = await transferOptions(flags);
  return Object.fromEntries(Object.entries(options).filter(([name]) => !writing.includes(name)));
}

async function tell(told: Explanation, json: boolean): Promise<void> {
  if (json) await printLine({ type: 'explanation', ...told });
  else await print(describe(told));
}

function describe({ side, path, exists, included, rule, file, line }: Explanation): string {
  const verdict =
    side === 'source' ? (included ? 'may be sent' : 'is not sent') : included ? 'may be deleted' : 'is not deleted';
  const place = file === undefined ? '' : ` (${safe(file)}${line === undefined ? '' : `, line ${line}`})`;
  const why = rule === undefined ? 'no rule matches' : rule === '' ? 'a rule' : `rule "${safe(rule)}"`;
  return `${side}: ${safe(path)} ${verdict}: ${why}${place}${exists ? '' : '; nothing is there'}`;
}
