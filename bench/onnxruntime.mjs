// SPDX-License-Identifier: Apache-2.0
// The native engine beside ONNX Runtime (fp32, CPU provider, batch 1), the same network on the same machine in one run.
//   node bench/onnxruntime.mjs speed CMUNET [threads] [rounds]          random networks of base width 16 and 64
//   node bench/onnxruntime.mjs agree CMUNET MODEL IMAGE_FOLDER [count]   a trained model on real 8-bit PNG images whose
//                                                                         size is the model's, so nothing is resampled
//   node bench/onnxruntime.mjs layers CMUNET [base] [size] [threads]     each layer of a random network
//   node bench/onnxruntime.mjs memory CMUNET [threads]                  largest resident memory, base width 64 at 512 px
import { createRequire } from 'node:module';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Without the npm packages the native engine is timed alone.
const ort = (await import('onnxruntime-node').catch(() => null))?.default;
const png = (await import('pngjs').catch(() => null))?.default;
const version = ort && createRequire(import.meta.url)('onnxruntime-node/package.json').version;
if (!ort) console.log('peer: ONNX Runtime is absent and left out (npm install --ignore-scripts, in bench/)');

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const openSession = (path, threads, more = {}) =>
  ort.InferenceSession.create(path, {
    executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', ...more });

async function timeOnnxRuntime(session, size, repeat) {
  const data = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i * 12.9898) * 2);
  const feeds = { grey: new ort.Tensor('float32', data, [1, 1, size, size]) };
  await session.run(feeds);
  const times = [];
  for (let i = 0; i < repeat; ++i) {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  return median(times);
}

async function speed(cmunet, threads, rounds, folder) {
  if (ort) console.log(`ONNX Runtime ${version}, fp32, ${threads} threads, medians of ${rounds} rounds`);
  console.log('base  size   native ms  onnxruntime ms  native/onnxruntime');
  for (const base of [16, 64]) {
    const onnx = join(folder, `base${base}.onnx`);
    execFileSync(cmunet, ['bench', '--base-width', `${base}`, '--size', '64', '--repeat', '1', '--onnx', onnx]);
    const session = ort && await openSession(onnx, threads);
    for (const size of [256, 512]) {
      const repeat = base === 16 ? 15 : 5;
      const native = [], peer = [];
      for (let round = 0; round < rounds; ++round) {
        const printed = execFileSync(cmunet, ['bench', '--json', '--base-width', `${base}`, '--size', `${size}`,
          '--repeat', `${repeat}`, '--threads', `${threads}`]);
        native.push(JSON.parse(printed).results[0].median_ms);
        peer.push(ort ? await timeOnnxRuntime(session, size, repeat) : NaN);
      }
      const ratios = native.map((value, i) => value / peer[i]);
      console.log(`${base}`.padStart(4), `${size}`.padStart(5), median(native).toFixed(1).padStart(11),
        median(peer).toFixed(1).padStart(15), median(ratios).toFixed(3).padStart(19));
    }
    await session?.release();
  }
}

// Milliseconds of each convolution and of what follows it, up to the next, by ONNX Runtime's own profile; medians over runs.
async function peerLayers(onnx, size, threads, repeat, folder) {
  const session = await openSession(onnx, threads, { enableProfiling: true, profileFilePrefix: join(folder, 'profile') });
  await timeOnnxRuntime(session, size, repeat);
  session.endProfiling();
  await session.release();
  const file = readdirSync(folder).find((name) => name.startsWith('profile'));
  const layers = [[]];  // of the run under way
  const times = [];     // of each layer
  for (const { cat, name, dur, args } of JSON.parse(readFileSync(join(folder, file), 'utf8'))) {
    if (name === 'model_run') {
      layers.shift().forEach((ms, i) => (times[i] ??= []).push(ms));
      layers.push([]);
    } else if (cat === 'Node') {
      const run = layers[0];
      if (args.op_name.startsWith('Conv') || run.length === 0) run.push(0);
      run[run.length - 1] += dur / 1000;
    }
  }
  return times.map((runs) => median(runs.slice(1)));  // the first warms up
}

async function layers(cmunet, base, size, threads, folder) {
  const onnx = join(folder, 'layers.onnx'), repeat = 9;
  const printed = execFileSync(cmunet, ['bench', '--json', '--layers', '--base-width', `${base}`, '--size', `${size}`,
    '--repeat', `${repeat}`, '--threads', `${threads}`, '--onnx', onnx]);
  const native = JSON.parse(printed).results[0].layers;
  const peer = ort ? await peerLayers(onnx, size, threads, repeat, folder) : native.map(() => NaN);
  if (peer.length !== native.length) throw new Error(`ONNX Runtime runs ${peer.length} convolutions, we ${native.length}`);
  const row = (name, gflop, ms, peerMs) => console.log(`| ${name} | ${ms.toFixed(2)} | ${(gflop / ms * 1000).toFixed(0)} | ` +
    `${peerMs.toFixed(2)} | ${(gflop / peerMs * 1000).toFixed(0)} | ${(ms / peerMs).toFixed(2)} |`);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  console.log(`base width ${base}, ${size}x${size}, ${threads} threads, ONNX Runtime ${version}, medians of ${repeat} runs`);
  console.log('| layer | native ms | GFLOP/s | ONNX Runtime ms | GFLOP/s | native / ONNX Runtime |\n|---|---|---|---|---|---|');
  native.forEach(({ name, gflop, median_ms }, i) => row(name, gflop, median_ms, peer[i]));
  row('all', sum(native.map((l) => l.gflop)), sum(native.map((l) => l.median_ms)), sum(peer));
}

async function agree(cmunet, model, images, count, folder) {
  if (!ort || !png) return;
  const onnx = join(folder, 'model.onnx'), out = join(folder, 'masks');
  execFileSync(cmunet, ['export', '--model', model, '--onnx', onnx]);
  const names = readdirSync(images).filter((name) => name.endsWith('.png')).sort().slice(0, count);
  const predicted = spawnSync(cmunet, ['predict', '--model', model, '--out', out, '-q', ...names.map((n) => join(images, n))]);
  if (predicted.status !== 0) throw new Error(`${predicted.stderr}`);
  const session = await openSession(onnx, 2);
  let pixels = 0, different = 0;
  for (const name of names) {
    const image = png.PNG.sync.read(readFileSync(join(images, name)));
    const mask = png.PNG.sync.read(readFileSync(join(out, name)));
    const grey = Float32Array.from({ length: image.width * image.height }, (_, i) => image.data[4 * i]);
    const feeds = { grey: new ort.Tensor('float32', grey, [1, 1, image.height, image.width]) };
    const { data } = (await session.run(feeds)).vessel_probability;
    for (let i = 0; i < data.length; ++i) {
      ++pixels;
      if ((data[i] > 0.5) !== (mask.data[4 * i] > 127)) ++different;
    }
  }
  console.log(`${names.length} images, ${pixels} pixels, ${different} masks' pixels differ: ${(100 * different / pixels).toFixed(5)} %`);
}

const peakMib = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;

// Of a process of its own each; Node's share, measured before the session is opened, is taken off.
async function memory(cmunet, threads, folder) {
  const onnx = join(folder, 'base64.onnx'), size = 512;
  execFileSync(cmunet, ['bench', '--base-width', '64', '--size', '64', '--repeat', '1', '--onnx', onnx]);
  const before = peakMib();
  if (ort) await timeOnnxRuntime(await openSession(onnx, threads), size, 2);
  const native = JSON.parse(execFileSync(cmunet, ['bench', '--json', '--base-width', '64', '--size', `${size}`, '--repeat',
    '2', '--threads', `${threads}`]));
  console.log(`native: ${native.peak_mib.toFixed(0)} MiB, the whole process, reading the weights included`);
  if (ort) console.log(`ONNX Runtime: ${(peakMib() - before).toFixed(0)} MiB above Node's own`);
}

const [command, cmunet, ...rest] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'cmunet-bench-'));
try {
  if (command === 'speed') await speed(cmunet, Number(rest[0] ?? 2), Number(rest[1] ?? 3), folder);
  else if (command === 'layers') await layers(cmunet, Number(rest[0] ?? 64), Number(rest[1] ?? 512), Number(rest[2] ?? 2), folder);
  else if (command === 'agree') await agree(cmunet, rest[0], rest[1], Number(rest[2] ?? 300), folder);
  else if (command === 'memory') await memory(cmunet, Number(rest[0] ?? 2), folder);
  else console.error('see the head of this file');
} finally {
  rmSync(folder, { recursive: true });
}
