/* graphile-worker: `producer` answers HTTP, `worker` runs the jobs. Settings as its page on performance has them. */
const { makeWorkerUtils, run: runWorker } = require('graphile-worker');
const { payload, run, serve } = require('./ledger.js');

const connectionString = process.env.DATABASE_URL;
const batch = Number(process.env.BENCH_BATCH || 1000);

async function produce() {
  const utils = await makeWorkerUtils({ connectionString });
  await utils.migrate();
  serve(async (count, at) => {
    if (at)
      return utils.addJob('bench', payload(at));
    for (let left = count; left > 0; left -= batch)
      await utils.addJobs(
        Array.from({ length: Math.min(batch, left) }, () => ({ identifier: 'bench', payload: payload(0) })),
      );
  });
}

if (process.argv[2] === 'producer')
  produce();
else
  runWorker({
    taskList: { bench: async (data) => run(data) },
    preset: {
      worker: {
        connectionString,
        concurrentJobs: 24,
        maxPoolSize: 25,
        localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
