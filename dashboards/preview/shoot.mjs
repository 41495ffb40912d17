// Draws dashboards in Chromium. Jobs come as JSON, one a line, on the standard
// input; each is answered by one line with what was to be seen:
//   {"dashboard","prometheus","now","range","variables":{},"file"}  →  {"dark-1600":{…},…} or {"error"}
// node shoot.mjs CHROMIUM DASHBOARDS
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [executablePath, dashboards] = process.argv.slice(2);
const dist = join(fileURLToPath(new URL('.', import.meta.url)), 'dist');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const file = path.startsWith('/dashboards/') ? join(dashboards, path.slice(12)) : join(dist, path === '/' ? 'index.html' : path);
  try {
    const body = readFileSync(file);
    response.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}/`;

const profile = mkdtempSync(join(tmpdir(), 'preview-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath, headless: true, viewport: { width: 1600, height: 1000 },
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars'],
});

// A picture of a page that was just resized, or taken while another page is,
// has at times been patched together of pieces of it. The head of the page is
// there once, or the picture is none.
async function picture(page, path) {
  for (let tries = 0; tries < 8; tries++) {
    await page.bringToFront();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const png = await page.screenshot({ path });
    const whole = await page.evaluate(async (data) => {
      const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
      const canvas = new OffscreenCanvas(image.width, image.height);
      const ink = canvas.getContext('2d');
      ink.drawImage(image, 0, 0);
      const pixels = new Uint32Array(ink.getImageData(0, 0, image.width, image.height).data.buffer);
      const [r, g, b] = getComputedStyle(document.querySelector('[data-warning]')).backgroundColor.match(/\d+/g).map(Number);
      const badge = document.querySelector('[data-warning]').getBoundingClientRect();
      const colour = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
      let seen = 0;
      for (let n = 0; n < pixels.length; n++) {
        if (pixels[n] !== colour) continue;
        const [x, y] = [n % image.width, Math.floor(n / image.width)];
        if (x < badge.left - 1 || x > badge.right + 1 || y < badge.top - 1 || y > badge.bottom + 1) return false;
        seen++;
      }
      return seen > 100 && image.width === window.innerWidth && image.height === window.innerHeight;
    }, png.toString('base64'));
    if (whole) return true;
    await page.waitForTimeout(300);
  }
  return false;
}

// One picture at a time: the pages share one window.
let before = Promise.resolve();
function alone(f) {
  const mine = before.then(f);
  before = mine.catch(() => {});
  return mine;
}

async function shoot(job) {
  const page = await browser.newPage();
  page.setDefaultTimeout(240000); // a machine that has other things to do, too
  const problems = [];
  page.on('pageerror', (e) => problems.push(`page: ${e.message}`));
  page.on('response', (r) => { if (r.status() >= 400) problems.push(`${r.status()} ${r.url().replace(base, '/')}`); });
  try {
    const query = new URLSearchParams({ dashboard: job.dashboard, prometheus: job.prometheus, now: job.now, range: job.range });
    for (const [name, value] of Object.entries(job.variables ?? {})) query.set(`var-${name}`, value);
    await page.goto(`${base}?${query}`);
    await page.waitForFunction(() => window.preview);
    const failed = await page.evaluate(() => window.preview.failed);
    if (failed) throw new Error(failed);
    const out = {};
    for (const width of [1600, 390]) {
      await page.setViewportSize({ width, height: 1000 });
      for (const theme of ['dark', 'light']) {
        await page.evaluate((t) => window.preview.draw(t), theme);
        // What is below the window's edge is not drawn: the window becomes as high as the page.
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({ width, height });
        await page.waitForTimeout(200);
        const facts = await page.evaluate(() => window.preview.facts());
        facts.problems.push(...problems);
        const whole = await alone(() => picture(page, `${job.file}-${theme}-${width}.png`));
        if (!whole) facts.problems.push('the picture is not that of the page');
        out[`${theme}-${width}`] = facts;
      }
    }
    return out;
  } finally {
    await page.close();
  }
}

const jobs = [];
let more; // wakes the drawers
let ended = false;
const drawer = async () => {
  for (;;) {
    const job = jobs.shift();
    if (job) {
      const result = await shoot(job).catch((e) => ({ error: String(e.stack ?? e) }));
      process.stdout.write(`${JSON.stringify({ file: job.file, ...result })}\n`);
    } else if (ended) {
      return;
    } else {
      await more;
    }
  }
};
let wake;
const rest = () => { more = new Promise((done) => { wake = done; }); };
rest();
const drawers = [drawer(), drawer()];
for await (const line of createInterface({ input: process.stdin })) {
  jobs.push(JSON.parse(line));
  wake();
  rest();
}
ended = true;
wake();
await Promise.all(drawers);
await browser.close();
server.close();
rmSync(profile, { recursive: true, force: true });
