// The packed tarballs, installed by each package manager from a registry on loopback.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, ROOT, run } from '../process.mjs';
import { startRegistry } from './registry.mjs';

/** The managers: the package that has them, how they install, without optional packages, by the lockfile alone; how they add. */
const MANAGERS = {
  npm: {
    install: ['install', '--no-audit', '--no-fund'],
    bare: ['install', '--no-audit', '--no-fund', '--omit=optional'],
    elsewhere: ['install', '--no-audit', '--no-fund', '--os=linux', '--cpu=arm64', '--libc=musl'],
    locked: ['ci', '--no-audit', '--no-fund'],
    lockfile: 'package-lock.json',
    add: 'npm install',
  },
  pnpm: {
    install: ['install', '--no-frozen-lockfile'],
    bare: ['install', '--no-frozen-lockfile', '--no-optional'],
    elsewhere: ['install', '--no-frozen-lockfile', '--os=linux', '--cpu=arm64', '--libc=musl'],
    locked: ['install', '--frozen-lockfile'],
    lockfile: 'pnpm-lock.yaml',
    add: 'pnpm add',
  },
  yarn: {
    install: ['install', '--non-interactive'],
    bare: ['install', '--non-interactive', '--ignore-optional'],
    // It takes no other platform than this one's; its lockfile has all of them.
    elsewhere: ['install', '--non-interactive'],
    locked: ['install', '--non-interactive', '--frozen-lockfile'],
    lockfile: 'yarn.lock',
    add: 'yarn add',
  },
  bun: {
    install: ['install'],
    bare: ['install', '--omit=optional'],
    elsewhere: ['install', '--os=linux', '--cpu=arm64'],
    locked: ['install', '--frozen-lockfile'],
    lockfile: 'bun.lock',
    add: 'bun add',
  },
};

/** Versions that run on Node 20. */
const FETCHED = ['pnpm@10', 'yarn@1', 'bun@1'];

/** What a manifest names that is run when a package is installed. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

const manifestAt = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Checks of all managers; those that the real registry does not give are left out by name. */
export function managerChecks({ root, platform }, target, work) {
  const place = join(work, 'managers');
  mkdirSync(place);
  let fetched;
  const programOf = async (name) => {
    if (name === 'npm') return ['npm'];
    writeFileSync(join(place, 'package.json'), '{"private":true}');
    const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...FETCHED];
    fetched ??= run('npm', args, { cwd: place });
    if ((await fetched).code !== 0) return undefined;
    // Its package has a script that puts the program in place, and none is run here.
    const oven = join(place, 'node_modules', '@oven');
    if (name !== 'bun')
      return [process.execPath, join(place, 'node_modules', name, 'bin', `${name}.${name === 'pnpm' ? 'cjs' : 'js'}`)];
    const found = existsSync(oven) ? readdirSync(oven).map((each) => join(oven, each, 'bin', 'bun')) : [];
    return found.filter((file) => existsSync(file)).slice(0, 1);
  };
  const check = (name) => async () => {
    const program = await programOf(name);
    if (program === undefined || program.length === 0) return `${name} cannot be fetched`;
    const registry = await startRegistry(await packages({ root, platform }, target, place));
    try {
      await installsAll({ name, program, registry, place, target });
    } finally {
      registry.stop();
    }
    return undefined;
  };
  return {
    'package: none has a script that runs when it is installed': () => {
      for (const folder of [ROOT, ...readdirSync(join(ROOT, 'npm')).map((each) => join(ROOT, 'npm', each))]) {
        const found = INSTALL_SCRIPTS.filter((script) => manifestAt(folder).scripts?.[script] !== undefined);
        expect(found.length === 0, `${folder}: ${found.join(', ')}`);
      }
    },
    ...Object.fromEntries(
      Object.keys(MANAGERS).map((name) => [
        `package: ${name} installs it, by a lockfile of another platform too, and is named where optional packages were left out`,
        check(name),
      ]),
    ),
  };
}

/** Our packages; those of other platforms are there as well, without what is compiled. */
async function packages({ root, platform }, target, place) {
  const others = readdirSync(join(ROOT, 'npm')).filter((each) => each !== target);
  const stubs = await Promise.all(
    others.map(async (each) => {
      const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', place];
      const [packed] = JSON.parse((await mustRun('npm', args, { cwd: join(ROOT, 'npm', each) })).stdout);
      return { manifest: manifestAt(join(ROOT, 'npm', each)), tarball: join(place, packed.filename) };
    }),
  );
  return [
    { manifest: manifestAt(ROOT), tarball: root.tarball },
    { manifest: manifestAt(join(ROOT, 'npm', target)), tarball: platform.tarball },
    ...stubs,
  ];
}

async function installsAll({ name, program: [first, ...rest], registry, place, target }) {
  const { install, bare, elsewhere, locked, lockfile, add } = MANAGERS[name];
  const folderOf = (what) => {
    const folder = join(place, `${name}-${what}`);
    mkdirSync(folder);
    const dependencies = { 'sparsync-native': manifestAt(ROOT).version };
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'user', private: true, type: 'module', dependencies }),
    );
    writeFileSync(join(folder, '.npmrc'), `registry=${registry.url}\n`);
    // Classic Yarn takes the registry from a file of its own.
    writeFileSync(join(folder, '.yarnrc'), `registry "${registry.url}"\ncache-folder "${join(folder, '.cache')}"\n`);
    for (const each of ['works.mjs', 'no-binary.mjs'])
      copyFileSync(join(ROOT, 'scripts', 'package-check', each), join(folder, each));
    return folder;
  };
  // Nothing of what a machine has stored of other installations, and no file of its user's.
  const by = (folder, words) => {
    const env = {
      HOME: folder,
      npm_config_cache: join(folder, '.npm'),
      npm_config_store_dir: join(folder, '.store'),
      npm_config_registry: registry.url,
      BUN_INSTALL_CACHE_DIR: join(folder, '.bun'),
    };
    return mustRun(first, [...rest, ...words], { cwd: folder, env });
  };
  const works = (folder) => mustRun(process.execPath, ['works.mjs'], { cwd: folder });

  const complete = folderOf('complete');
  await by(complete, install);
  await works(complete);

  const moved = folderOf('moved');
  await by(moved, elsewhere);
  expect(existsSync(join(moved, lockfile)), `${name} wrote no ${lockfile}`);
  rmSync(join(moved, 'node_modules'), { recursive: true });
  await by(moved, locked);
  await works(moved);

  const without = folderOf('without');
  await by(without, bare);
  const { stdout } = await mustRun(process.execPath, ['no-binary.mjs', target, add], { cwd: without });
  expect(stdout.includes('says what is missing'), stdout);
}
