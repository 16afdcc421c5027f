// What a program may do to the package: run in a worker, be terminated in mid-job, exit in mid-job, or just end.
// The parent looks at how this process ends: a hang, a crash or a lost result shows in its exit code and output.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { connect, serve, sync, SparsyncError } from '../../dist/index.js';

const { mode, source, destination, options } = isMainThread ? JSON.parse(process.argv[2]) : workerData;

/** Resolves when content is on its way; a job that was over before has shown nothing. */
async function underWay(job) {
  let over = false;
  job.result.then(
    () => (over = true),
    () => (over = true),
  );
  while (job.stats().bytesTransferred === 0) {
    if (over) throw new Error('the job was over before it was looked at');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const modes = {
  async sync() {
    const result = await sync(source, destination, options);
    console.log(JSON.stringify({ transferred: result.stats.filesTransferred, failures: result.failures }));
  },
  async report() {
    try {
      const result = await sync(source, destination, options);
      console.log(JSON.stringify({ failures: result.failures }));
    } catch (error) {
      if (!(error instanceof SparsyncError)) throw error;
      console.log(JSON.stringify({ code: error.code, failures: error.result?.failures, name: error.name }));
    }
  },
  async exit() {
    const job = sync(source, destination, options);
    await underWay(job);
    process.exit(7);
  },
  async throw() {
    const job = sync(source, destination, options);
    await underWay(job);
    throw new Error('a mistake of the program');
  },
  async unref() {
    const server = await serve(options);
    server.unref();
    console.log(`listening ${server.port > 0}`);
  },
  async ref() {
    const server = await serve(options);
    server.unref();
    server.ref();
    setTimeout(() => {
      console.log('still here');
      void server.close();
    }, 300).unref();
  },
  async connection() {
    const connection = await connect(destination, options);
    await connection.push(source, 'root/tree');
    console.log('pushed');
    await connection.close();
  },
  async workers() {
    const counts = await Promise.all(
      Array.from(
        { length: 3 },
        (_, i) =>
          new Promise((resolve, reject) => {
            const worker = new Worker(new URL(import.meta.url), {
              workerData: { mode: 'inWorker', source, destination: `${destination}${i}`, options },
            });
            worker.once('message', resolve).once('error', reject);
          }),
      ),
    );
    console.log(JSON.stringify(counts));
  },
  async inWorker() {
    const result = await sync(source, destination, options);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a worker has no origin
    parentPort.postMessage(result.stats.filesTransferred);
  },
  async inWorkerForever() {
    const job = sync(source, destination, options);
    await underWay(job);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a worker has no origin
    parentPort.postMessage('under way');
    await job;
  },
  async terminate() {
    for (let i = 0; i < 5; i += 1) {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { mode: 'inWorkerForever', source, destination: `${destination}${i}`, options },
      });
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      await worker.terminate();
    }
    // The package still works in what is left of the process.
    await sync(source, `${destination}-after`, options);
    console.log('terminated');
  },
};

await modes[mode]();
