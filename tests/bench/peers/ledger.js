/* What the jobs of the peers note, as bench_app does: when the first began and each BENCH_STEP-th ended, and latencies. */
const fs = require('fs');
const http = require('http');

const path = process.env.BENCH_LEDGER;
const step = Number(process.env.BENCH_STEP);
const wanted = Number(process.env.BENCH_LATENCIES || 0);
let count = 0;
const latencies = [];

const now = () => Math.round(Number(process.hrtime.bigint()) / 1000); /* µs of CLOCK_MONOTONIC */

exports.payload = (at) => ({ at, data: 'x'.repeat(1000) });

exports.run = (payload) => {
  const at = now();
  if (payload.at) {
    if (latencies.push(at - payload.at) === wanted)
      fs.appendFileSync(path, latencies.join('\n') + '\n');
    return;
  }
  if (++count === 1 || count % step === 0)
    fs.appendFileSync(path, `${count} ${at}\n`);
};

/* POST /jobs/{n} enqueues n no-op jobs, POST /latency one that measures. 204 once the server has them. */
exports.serve = (enqueue) =>
  http
    .createServer((request, reply) => {
      const count = /^\/jobs\/(\d+)$/.exec(request.url);
      const done = count ? enqueue(Number(count[1]), 0) : enqueue(1, now());
      done.then(
        () => reply.writeHead(204).end(),
        (error) => reply.writeHead(500).end(String(error)),
      );
    })
    .listen(Number(process.env.PORT), '127.0.0.1');
