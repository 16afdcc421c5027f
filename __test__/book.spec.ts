// The book: each chapter's commands are run, on machines that share nothing but the network, and print what it says.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Ajv } from 'ajv';
import test, { type ExecutionContext } from 'ava';
import { parseAllDocuments } from 'yaml';

import { DEFAULT_PORT } from '../dist/index.js';

import { until } from './helpers/process.js';
import { freePort } from './helpers/port.js';
import { start } from './helpers/process.js';
import { packageFolder, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { overSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';

const BOOK = fileURLToPath(new URL('../docs/book', import.meta.url));
const CHAPTERS = readdirSync(BOOK).filter((name) => /^\d\d-.*\.md$/.test(name));

/** A block of a chapter: what is typed or run, on which machine, and what it prints. */
interface Block {
  readonly language: 'sh' | 'js';
  readonly machine: string;
  readonly code: string;
  readonly prints: readonly string[];
}

function blocksOf(chapter: string): Block[] {
  const text = readFileSync(`${BOOK}/${chapter}`, 'utf8');
  const found = text.matchAll(/^```(sh|js)(?: (\w+))?\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms);
  return [...found].map(([, language, machine = 'laptop', code = '', prints = '']) => ({
    language: language === 'js' ? 'js' : 'sh',
    machine,
    code,
    prints: prints.split('\n').filter((line) => line !== '' && line !== '…'),
  }));
}

/** The machines of a chapter. */
class Stage {
  readonly #t: ExecutionContext;
  readonly #work: string;
  readonly #port: number;
  /** What the last invitation printed. */
  #secret = '';

  constructor(t: ExecutionContext, port: number) {
    this.#t = t;
    this.#work = workDir(t);
    this.#port = port;
    writeFileSync(`${dir(this.#work, 'bin')}/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
    chmodSync(`${this.#work}/bin/sparsync`, 0o755);
    mkdirSync(`${this.#work}/node_modules`);
    symlinkSync(packageFolder, `${this.#work}/node_modules/sparsync-native`);
  }

  async run({ language, machine, code, prints }: Block): Promise<void> {
    const here = `${this.#work}/${machine}`;
    mkdirSync(here, { recursive: true });
    const text = code.replaceAll('/srv/', `${this.#work}/srv/`).replaceAll('nas.example', `127.0.0.1:${this.#port}`);
    const serves = /^sparsync serve (?!.*--print-unit).*$/m.exec(text)?.[0];
    const typed = serves === undefined ? text : text.replace(serves, '');
    const words = language === 'js' ? ['--input-type=module', '-e', typed] : ['-euc', typed];
    const command = language === 'js' ? process.execPath : 'sh';
    const env = this.#environment(machine);
    const ended = await start(this.#t, command, words, { env, cwd: here, input: this.#secret }).ended;
    this.#t.is(ended.code, 0, `${code}\n${ended.stdout}${ended.stderr}`);
    if (code.includes('sparsync invite')) this.#secret = ended.stdout;
    if (serves !== undefined) await this.#serve(serves, machine);
    // The server takes note of a key within a second, and nobody types faster.
    const log = (): string => readFileSync(`${here}/server.log`, 'utf8');
    if (code.includes('keys rotate --after')) await until('the server to know the key', () => /server-key/.test(log()));
    // An exit code is told on the one stream, and why on the other.
    let rest = `${ended.stderr}${ended.stdout}`;
    for (const line of prints) {
      const parts = line.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
      const at = new RegExp(`^${parts.join('.*')}$`, 'm').exec(rest);
      this.#t.truthy(at, `${code}\nprints no line ${JSON.stringify(line)} in ${rest}`);
      rest = rest.slice((at?.index ?? 0) + (at?.[0].length ?? 0));
    }
  }

  #environment(machine: string): Record<string, string | undefined> {
    const isJob = machine === 'ci';
    return {
      PATH: `${this.#work}/bin:${process.env['PATH'] ?? ''}`,
      HOME: isJob ? undefined : `${this.#work}/${machine}`,
      SPARSYNC_CREDENTIAL: isJob ? /sparsync-credential\S+/.exec(this.#secret)?.[0] : undefined,
      SPARSYNC_CONFIG_DIR: undefined,
      SPARSYNC_STATE_DIR: undefined,
      XDG_CONFIG_HOME: undefined,
      XDG_STATE_HOME: undefined,
      LC_ALL: 'C',
    };
  }

  async #serve(line: string, machine: string): Promise<void> {
    const env = this.#environment(machine);
    const command = `exec ${line} --listen 127.0.0.1:${this.#port}`;
    const server = start(this.#t, 'sh', ['-c', command], { env, cwd: `${this.#work}/${machine}` });
    await until('the server', () => server.over() || server.stdout().includes('serving'));
    this.#t.false(server.over(), server.stderr());
  }
}

for (const chapter of CHAPTERS) {
  test(`the book does what it says: ${chapter}`, async (t) => {
    const stage = new Stage(t, await freePort());
    const blocks = blocksOf(chapter);
    for (const block of blocks) await stage.run(block);
    t.true(blocks.length > 0 || chapter.startsWith('08-'));
  });
}

/** Why, or where, what is typed in no chapter's own run is not typed there, by its first line. */
const CONSOLE: Readonly<Record<string, string>> = {
  'npm install --global sparsync-native': 'takes what is published; the checks of the package install its tarballs',
  'sparsync -a --delete photos/ you@nas.example:photos/': 'needs an sshd: a test below',
  'sparsync serve --root backup=/srv/backup --print-unit > /etc/systemd/system/sparsync.service': 'a test below',
  'SPARSYNC_CONFIG_DIR=/var/lib/sparsync sparsync invite alice --root backup --prefix alice --allow read,write --address nas.example':
    'a test below',
  "docker build --tag sparsync - <<'END'": 'needs a daemon and a registry; a test below reads its command',
  '/var/log/sparsync.log {': 'a file of logrotate: a test below',
};

/** The block of the book that begins with a line. */
function consoleBlock(first: string): string {
  return consoleBlocks().find((block) => block.startsWith(`${first}\n`)) ?? '';
}

function consoleBlocks(): string[] {
  return CHAPTERS.flatMap((chapter) =>
    [...readFileSync(`${BOOK}/${chapter}`, 'utf8').matchAll(/^```console\n(.*?)^```$/gms)].map(([, code = '']) => code),
  );
}

const hasProgram = (name: string): boolean => spawnSync(name, ['--version']).error === undefined;

test('what no chapter types by itself is typed below, or is known not to be', (t) => {
  t.deepEqual(
    consoleBlocks().map((block) => block.split('\n')[0]),
    Object.keys(CONSOLE),
  );
});

overSsh('the backup by ssh of the first chapter is one', async (t) => {
  const work = workDir(t);
  const sshd = await startSshd(t, work);
  const there = dir(work, 'there');
  writeFileSync(`${dir(work, 'photos')}/monday.txt`, 'sunrise');
  writeFileSync(`${dir(there, 'photos')}/old.txt`, '');
  const line = Object.keys(CONSOLE).find((each) => each.includes('you@')) ?? '';
  // The client's settings lead that name to the sshd; a path from the home folder would be this user's own.
  const typed = consoleBlock(line).replace('you@', `${sshd.user}@`).replace(':photos/', `:${there}/photos/`);
  const shell = typed.replace('sparsync', `'${process.execPath}' '${program}'`);
  const ended = await start(t, 'sh', ['-euc', shell], { cwd: work, env: { RSYNC_RSH: sshd.rsh, HOME: work } }).ended;
  t.is(ended.code, 0, ended.stderr);
  t.deepEqual(readdirSync(`${there}/photos`), ['monday.txt']);
});

(hasProgram('systemctl') ? test : test.skip)(
  'the unit of the chapter on operations is installed as it says (needs systemctl)',
  async (t) => {
    const work = workDir(t);
    mkdirSync(`${work}/etc/systemd/system`, { recursive: true });
    const bin = dir(work, 'bin');
    writeFileSync(`${bin}/sparsync`, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
    // No manager runs here, so nothing is started: what is enabled is read by systemctl from a folder.
    const systemctl = `#!/bin/sh\ncase "$*" in\ndaemon-reload) ;;\n'enable --now '*) PATH=/usr/bin:/bin exec systemctl --root='${work}' enable "$3" ;;\n*) exit 9 ;;\nesac\n`;
    writeFileSync(`${bin}/systemctl`, systemctl, { mode: 0o755 });
    const line = Object.keys(CONSOLE).find((each) => each.includes('--print-unit')) ?? '';
    const typed = consoleBlock(line).replaceAll('/etc/systemd', `${work}/etc/systemd`);
    const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, SPARSYNC_CONFIG_DIR: `${work}/config` };
    const ended = await start(t, 'sh', ['-euc', typed], { cwd: work, env }).ended;
    t.is(ended.code, 0, ended.stderr);
    t.deepEqual(readdirSync(`${work}/etc/systemd/system/multi-user.target.wants`), ['sparsync.service']);

    // What the manager would start, with the folder that it would make; then the chapter's next command.
    const unit = readFileSync(`${work}/etc/systemd/system/sparsync.service`, 'utf8');
    const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
    const here = (text: string): string => text.replaceAll('/var/lib/', `${work}/`).replaceAll('/srv/', `${work}/srv/`);
    mkdirSync(`${work}/srv/backup`, { recursive: true });
    const service = `exec env ${here(value('Environment'))} ${here(value('ExecStart'))} --listen 127.0.0.1:0`;
    const server = start(t, 'sh', ['-c', service], { env });
    await until('the service', () => server.over() || server.stdout().includes('serving'));
    const [, port = ''] = /127\.0\.0\.1:(\d+)/.exec(server.stdout()) ?? [];
    const [, told = ''] = /(ed25519:\S+)/.exec(server.stdout()) ?? [];
    const inviting = here(consoleBlock(Object.keys(CONSOLE).find((each) => each.includes('sparsync invite')) ?? ''));
    const without = await start(t, 'sh', ['-euc', inviting.replace(/^\S+ /, '')], { env }).ended;
    t.not(without.code, 0);
    t.regex(without.stderr, /there is no key of a server.*SPARSYNC_CONFIG_DIR/);
    t.false(existsSync(`${work}/config`), 'no key is made, and nobody is invited to another server');
    const invited = await start(t, 'sh', ['-euc', inviting], { env }).ended;
    t.is(invited.code, 0, invited.stderr);
    const guest = { SPARSYNC_CONFIG_DIR: `${work}/alice`, SPARSYNC_INVITATION: invited.stdout };
    const joined = await start(t, process.execPath, [program, 'join', `127.0.0.1:${port}`], { env: guest }).ended;
    t.is(joined.code, 0, joined.stderr);
    t.true(readFileSync(`${work}/alice/known_hosts`, 'utf8').includes(told));
  },
);

test("the container's command is one of ours, at our port, and what it serves is a volume", async (t) => {
  const line = Object.keys(CONSOLE).find((each) => each.startsWith('docker')) ?? '';
  const run = /^docker run (.*)$/m.exec(consoleBlock(line).replaceAll('\\\n', ' '))?.[1] ?? '';
  const words = run.split(/\s+/);
  const after = (flag: string): string[] => words.filter((_, at) => words[at - 1] === flag);
  t.deepEqual(after('--publish'), [`${DEFAULT_PORT}:${DEFAULT_PORT}/udp`, `${DEFAULT_PORT}:${DEFAULT_PORT}/tcp`]);
  const volumes = after('--volume').map((volume) => volume.split(':')[1]);
  t.deepEqual(
    after('--root').map((root) => root.split('=')[1]),
    volumes.slice(0, 1),
  );
  t.deepEqual(
    after('--env').map((each) => each.split('=')[1]),
    volumes.slice(1),
  );
  const command = words.slice(words.indexOf('serve'));
  const printed = await start(t, process.execPath, [program, ...command, '--print-unit']).ended;
  t.is(printed.code, 0, printed.stderr);
});

(hasProgram('logrotate') ? test : test.skip)(
  'logrotate moves the log away, and the server writes a new one (needs logrotate)',
  async (t) => {
    const work = workDir(t);
    const [log, bin] = [`${dir(work, 'log')}/sparsync.log`, dir(work, 'bin')];
    const server = await startServer(t, {
      home: work,
      roots: { data: dir(work, 'data') },
      allow: ['nobody ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
      args: ['--log-file', log],
    });
    // What the unit has for a reload.
    writeFileSync(`${bin}/systemctl`, `#!/bin/sh\n[ "$*" = 'reload sparsync' ] && kill -HUP ${server.pid}\n`, {
      mode: 0o755,
    });
    const settings = consoleBlock('/var/log/sparsync.log {').replace('/var/log/sparsync.log', log);
    writeFileSync(`${work}/logrotate.conf`, settings, { mode: 0o600 });
    const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    const rotate = ['--force', '--state', `${work}/state`, `${work}/logrotate.conf`];
    const ended = await start(t, 'logrotate', rotate, { env }).ended;
    t.is(ended.code, 0, ended.stderr);
    await until('the new log', () => existsSync(log) && readFileSync(log, 'utf8').includes('reload'));
    t.regex(readFileSync(`${log}.1`, 'utf8'), /listening/);
  },
);

test('the links of the book lead somewhere', (t) => {
  for (const name of ['README.md', ...CHAPTERS]) {
    const text = readFileSync(`${BOOK}/${name}`, 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? `${BOOK}/${name}` : resolve(BOOK, path);
      t.true(existsSync(file), `${name}: ${target}`);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .replaceAll(/\s/g, '-'),
      );
      t.true(headings.includes(anchor), `${name}: ${target}`);
    }
  }
  const told = readFileSync(`${BOOK}/07-troubleshooting.md`, 'utf8');
  const errors = readFileSync(resolve(dirname(BOOK), 'errors.md'), 'utf8');
  for (const [, code = ''] of errors.matchAll(/^### (ERR_\w+)$/gm)) {
    t.true(told.includes(`](../errors.md#${code.toLowerCase()})`), code);
  }
});

/** What of a manifest is looked at. */
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

test('the manifest for Kubernetes holds together, and its command is one of ours', async (t) => {
  const text = readFileSync(`${BOOK}/06-operations.md`, 'utf8');
  const [, block = ''] = /^```yaml\n(.*?)^```$/ms.exec(text) ?? [];
  const documents = parseAllDocuments(block, { uniqueKeys: true });
  for (const document of documents) t.deepEqual([document.errors, document.warnings], [[], []]);
  const manifests = documents.map((document) => document.toJS() as Manifest);
  t.deepEqual(
    manifests.map(({ apiVersion, kind, metadata }) => [apiVersion, kind, metadata.name]),
    [
      ['v1', 'Service', 'sparsync'],
      ['apps/v1', 'StatefulSet', 'sparsync'],
    ],
  );
  const validate = new Ajv({ allErrors: true }).compile(SHAPE);
  t.true(validate(manifests), JSON.stringify(validate.errors));
  const [service, set] = manifests.map(({ spec }) => spec) as unknown as [Service, StatefulSet];
  const { metadata, spec } = set.template;
  t.deepEqual(service.selector, metadata.labels);
  t.deepEqual(set.selector.matchLabels, metadata.labels);
  t.is(set.serviceName, 'sparsync');
  const [container] = spec.containers;
  // Each port leads to one of the container, of the same protocol, and both protocols have the same number.
  for (const { targetPort, protocol, port } of service.ports)
    t.like(
      container.ports.find(({ name }) => name === targetPort),
      { protocol, containerPort: port },
    );
  t.deepEqual(
    service.ports.map(({ port, protocol }) => [port, protocol]),
    [
      [DEFAULT_PORT, 'UDP'],
      [DEFAULT_PORT, 'TCP'],
    ],
  );
  const metrics = container.ports.find(({ name }) => name === container.readinessProbe.httpGet.port)?.containerPort;
  t.true(container.args.includes(`0.0.0.0:${metrics}`));
  t.deepEqual(
    set.volumeClaimTemplates.map(({ metadata: { name } }) => name),
    container.volumeMounts.map(({ name }) => name),
  );
  const mounted = container.volumeMounts.map(({ mountPath }) => mountPath);
  for (const { value } of container.env) t.true(mounted.some((path) => value.startsWith(`${path}/`)));
  const grace = Number(container.args[container.args.indexOf('--grace') + 1]);
  t.true(spec.terminationGracePeriodSeconds > grace);
  // The command takes these words, and nothing else is asked of it here.
  const words = [...container.command.slice(1), ...container.args, '--print-unit'];
  const printed = await start(t, process.execPath, [program, ...words]).ended;
  t.is(printed.code, 0, printed.stderr);
});

interface Service {
  readonly selector: object;
  readonly ports: readonly { readonly port: number; readonly targetPort: string; readonly protocol: string }[];
}

interface StatefulSet {
  readonly serviceName: string;
  readonly selector: { readonly matchLabels: object };
  readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[];
  readonly template: {
    readonly metadata: { readonly labels: object };
    readonly spec: {
      readonly terminationGracePeriodSeconds: number;
      readonly containers: readonly [
        {
          readonly command: readonly string[];
          readonly args: readonly string[];
          readonly env: readonly { readonly name: string; readonly value: string }[];
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
          readonly readinessProbe: { readonly httpGet: { readonly path: string; readonly port: string } };
          readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
        },
      ];
    };
  };
}

const closed = (properties: Record<string, object>, ...optional: readonly string[]): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
const TEXT = { type: 'string', minLength: 1 };
const NAME = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$' };
const PORT = { type: 'integer', minimum: 1, maximum: 65_535 };
const PROTOCOL = { enum: ['TCP', 'UDP'] };
const COUNT = { type: 'integer', minimum: 1 };
const LABELS = { type: 'object', additionalProperties: TEXT, minProperties: 1 };
const listOf = (items: object): object => ({ type: 'array', items, minItems: 1 });
const KIND = { apiVersion: TEXT, kind: TEXT, metadata: closed({ name: NAME }) };

/** What the two manifests may have, by the names and types of the API of Kubernetes; a word that it does not know is refused. */
const SHAPE = {
  type: 'array',
  items: [
    closed({
      ...KIND,
      spec: closed({
        type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
        selector: LABELS,
        ports: listOf(closed({ name: NAME, port: PORT, targetPort: NAME, protocol: PROTOCOL })),
      }),
    }),
    closed({
      ...KIND,
      spec: closed({
        serviceName: NAME,
        replicas: { const: 1 },
        selector: closed({ matchLabels: LABELS }),
        template: closed({
          metadata: closed({ labels: LABELS }),
          spec: closed({
            terminationGracePeriodSeconds: COUNT,
            securityContext: closed({
              runAsNonRoot: { const: true },
              runAsUser: COUNT,
              runAsGroup: COUNT,
              fsGroup: COUNT,
              fsGroupChangePolicy: { const: 'OnRootMismatch' },
              seccompProfile: closed({ type: { enum: ['RuntimeDefault', 'Localhost'] } }),
            }),
            containers: listOf(
              closed({
                name: NAME,
                image: TEXT,
                command: listOf(TEXT),
                args: listOf(TEXT),
                env: listOf(closed({ name: TEXT, value: TEXT })),
                ports: listOf(closed({ name: NAME, containerPort: PORT, protocol: PROTOCOL })),
                readinessProbe: closed({ httpGet: closed({ path: { const: '/healthz' }, port: NAME }) }),
                securityContext: closed({
                  readOnlyRootFilesystem: { const: true },
                  allowPrivilegeEscalation: { const: false },
                  capabilities: closed({ drop: { const: ['ALL'] } }),
                }),
                volumeMounts: listOf(closed({ name: NAME, mountPath: { type: 'string', pattern: '^/' } })),
              }),
            ),
          }),
        }),
        volumeClaimTemplates: listOf(
          closed({
            metadata: closed({ name: NAME }),
            spec: closed({
              accessModes: listOf({ enum: ['ReadWriteOnce', 'ReadWriteOncePod'] }),
              resources: closed({ requests: closed({ storage: { type: 'string', pattern: '^\\d+[KMGT]i$' } }) }),
            }),
          }),
        ),
      }),
    }),
  ],
  additionalItems: false,
  minItems: 2,
};
