// A page that draws one dashboard: ?dashboard=UID&prometheus=URL&now=SECONDS&range=SECONDS&var-NAME=…
// window.preview.draw(theme) draws it in a theme; window.preview.facts() tells
// what is to be seen, for the checks.
import { createRoot } from 'react-dom/client';
import { flushSync } from 'react-dom';
import { createTheme, dateTime, ThemeContext, type DataFrame, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome, PortalContainer } from '@grafana/ui';
import 'uplot/dist/uPlot.min.css';
import { dress, idle, init, lint, panelTypes, transform } from './fields';
import { facts, type PanelNotes } from './facts';
import { Empty, kinds, type Line } from './panels';
import { ask, call, interpolate, seriesFrames, tableFrame, variables, type Context } from './query';

const address = new URLSearchParams(location.search);
const now = Number(address.get('now'));
const ctx: Context = { prometheus: address.get('prometheus')!, to: now, from: now - Number(address.get('range') ?? 900), variables: {} };
const range: TimeRange = { from: dateTime(ctx.from * 1000), to: dateTime(ctx.to * 1000), raw: { from: 'now', to: 'now' } };

const cell = 38; // Grafana's row: 30 px and a gap of 8
const phone = () => window.innerWidth < 769;

interface Loaded { panel: any; frames: DataFrame[]; notes: PanelNotes }

async function load(panel: any): Promise<Loaded> {
  const notes: PanelNotes = { errors: [], silent: [], idle: [] };
  if (!panelTypes.includes(panel.type)) {
    notes.errors.push(`the panel type ${panel.type} is not known here`);
    return { panel, frames: [], notes };
  }
  notes.errors.push(...lint(panel));
  const answers = await Promise.all(panel.targets.map(async (t: any) => {
    try {
      const points = Math.max(Math.round((panel.gridPos.w / 24) * 1600), 50);
      return { t, ...(await ask(t, ctx, points)) };
    } catch (e) {
      notes.errors.push(`${t.refId}: ${(e as Error).message}`);
      return { t, series: [], step: 5, expr: '' };
    }
  }));
  for (const a of answers) {
    if (!a.series.some((s: any) => (s.values ?? [s.value]).some((v: any) => !Number.isNaN(Number(v[1]))))) {
      notes.silent.push(a.t.refId);
    }
    for (const m of (a.t.legendFormat ?? '').matchAll(/\{\{\s*([^}]+?)\s*\}\}/g)) {
      if (a.series.some((s: any) => s.metric[m[1]] === undefined)) {
        notes.errors.push(`${a.t.refId}: the legend's {{${m[1]}}} is no label`);
      }
    }
  }
  const with_ = answers.filter((a) => a.series.length > 0);
  const raw = panel.type === 'table' ? with_.map((a) => tableFrame(a.t, a.series, with_.length)) : with_.flatMap((a) => seriesFrames(a.t, a.series, a.step));
  return { panel, frames: raw.length ? await transform(panel, raw) : [], notes };
}

async function annotations(list: any[]): Promise<{ lines: Line[]; problems: string[] }> {
  const lines: Line[] = [];
  const problems: string[] = [];
  for (const a of list) {
    try {
      const step = Math.max(5, Math.ceil((ctx.to - ctx.from) / 10000)); // Prometheus gives 11000 points at most
      const data = await call(ctx, 'query_range', { query: interpolate(a.expr, ctx), start: `${ctx.from}`, end: `${ctx.to}`, step: `${step}` });
      for (const s of data.result) {
        let last = -Infinity;
        for (const [at] of s.values) {
          if (at - last > step) lines.push({ at, name: a.name, color: a.iconColor });
          last = at;
        }
      }
    } catch (e) {
      problems.push(`annotation ${a.name}: ${(e as Error).message}`);
    }
  }
  return { lines, problems };
}

// Frame is one panel; it takes its place in the grid.
function Frame({ it, theme, lines, width, at }: { it: Loaded; theme: GrafanaTheme2; lines: Line[]; width: number; at: any }) {
  const { panel, notes } = it;
  const dressed = it.frames.length ? dress(panel, it.frames, theme) : [];
  notes.idle = dressed.length ? idle(panel, dressed) : [];
  const values = dressed.reduce((n, f) => n + f.length, 0);
  const Kind = kinds[panel.type];
  const noValue = panel.fieldConfig.defaults.noValue || 'No data';
  return (
    <div data-panel={panel.id} style={at}>
      <PanelChrome title={panel.title} description={panel.description} width={width} height={at.height} padding={panel.type === 'table' ? 'none' : 'md'}
        statusMessage={notes.errors.join('; ') || undefined}>
        {(w, h) => (panel.type !== 'stat' && values === 0
          ? <Empty text={noValue} theme={theme} width={w} height={h} />
          : Kind ? <Kind panel={panel} frames={dressed} theme={theme} width={w} height={h} range={range} lines={lines} /> : null)}
      </PanelChrome>
    </div>
  );
}

function Page({ board, panels, theme, lines, shown, font }: any) {
  const width = window.innerWidth - 16;
  let y = 0;
  const places = panels.map((it: Loaded | any) => {
    const g = it.panel.gridPos;
    if (!phone()) {
      const one = width / 24;
      return { left: 8 + g.x * one, top: g.y * cell, width: (g.w * one) - 8, height: it.panel.type === 'row' ? 30 : g.h * cell - 8 };
    }
    // Grafana stacks panels on a narrow screen and keeps their heights.
    const at = { left: 8, top: y, width: width - 8, height: it.panel.type === 'row' ? 30 : g.h * cell - 8 };
    y += at.height + 8;
    return at;
  });
  const bottom = Math.max(...places.map((p: any) => p.top + p.height));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PortalContainer />
      {font ? null : (
        <div style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary, minHeight: '100vh', fontFamily: theme.typography.fontFamily }}>
          <div data-head style={{ padding: '8px 8px 6px', display: 'flex', flexWrap: 'wrap', gap: 10, alignItems: 'center', fontSize: 14 }}>
            <b data-warning style={{ background: '#5a3d00', color: '#ffd98a', padding: '2px 8px' }}>preview, not Grafana</b>
            <b>{board.title}</b>
            {shown.map(([name, value]: string[]) => <span key={name}><span style={{ color: theme.colors.text.secondary }}>{name}</span> {value}</span>)}
            <span style={{ color: theme.colors.text.secondary }}>{dateTime(ctx.to * 1000).utc().format('HH:mm:ss')} UTC, {(ctx.to - ctx.from) / 60} min; state timelines by a substitute</span>
          </div>
          <div style={{ position: 'relative', height: bottom + 8, overflow: 'hidden' }}>
            {panels.map((it: any, n: number) => {
              const at = { position: 'absolute', ...places[n] };
              return it.panel.type === 'row'
                ? <div key={it.panel.id} data-section style={{ ...at, lineHeight: '30px', fontWeight: 500, fontSize: 16 }}>{it.panel.title}</div>
                : <Frame key={it.panel.id} it={it} theme={theme} lines={lines} width={places[n].width} at={at} />;
            })}
          </div>
        </div>
      )}
    </ThemeContext.Provider>
  );
}

async function start() {
  (window as any).__grafana_public_path__ = '/public/';
  await initPluginTranslations('grafana');
  init();
  const board = await (await fetch(`/dashboards/${address.get('dashboard')}.json`)).json();
  const filled = await variables(board.templating.list, ctx, address);
  const marks = await annotations(board.annotations.list);
  const panels = await Promise.all(board.panels.map((p: any) => (p.type === 'row' ? { panel: p } : load(p))));
  let root = createRoot(document.getElementById('page')!);
  const settled = () => new Promise<void>((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 120))));

  const draw = async (name: 'dark' | 'light') => {
    root.unmount();
    root = createRoot(document.getElementById('page')!);
    const theme = createTheme({ colors: { mode: name } });
    const props = { board, panels, theme, lines: marks.lines, shown: filled.shown };
    flushSync(() => root.render(<Page {...props} font />)); // the fonts come with the styles, and the canvases need them at once
    await Promise.all(['400 12px Inter', '500 12px Inter', '400 12px "Roboto Mono"'].map((f) => document.fonts.load(f)));
    flushSync(() => root.render(<Page {...props} />));
    await settled();
  };
  (window as any).preview = { draw, facts: () => facts(panels.filter((p: any) => p.panel.type !== 'row'), [...filled.problems, ...marks.problems]) };
}

start().catch((e) => { (window as any).preview = { failed: String(e.stack ?? e) }; });
