/* BullMQ: `producer` answers HTTP, `worker` runs the jobs. */
const { Queue, Worker } = require('bullmq');
const { payload, run, serve } = require('./ledger.js');

const connection = { path: process.env.REDIS_SOCKET, maxRetriesPerRequest: null };
const batch = Number(process.env.BENCH_BATCH || 1000);

if (process.argv[2] === 'producer') {
  const queue = new Queue('bench', { connection, defaultJobOptions: { removeOnComplete: true } });
  serve(async (count, at) => {
    if (at)
      return queue.add('measure', payload(at));
    for (let left = count; left > 0; left -= batch)
      await queue.addBulk(Array.from({ length: Math.min(batch, left) }, () => ({ name: 'no_op', data: payload(0) })));
  });
} else {
  const concurrency = Number(process.env.BENCH_CONCURRENCY || 100);
  new Worker('bench', async (job) => run(job.data), { connection, concurrency, removeOnComplete: { count: 0 } });
}
