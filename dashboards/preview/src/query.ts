// What a dashboard asks of Prometheus, and the frames that come of it, named
// and shaped as Grafana's Prometheus data source does.
import { FieldType, type DataFrame, type Field } from '@grafana/data';

export interface Target { refId: string; expr: string; legendFormat?: string; format?: string; instant?: boolean; range?: boolean; interval?: string }
export interface Series { metric: Record<string, string>; value?: [number, string]; values?: Array<[number, string]> }

// The moment, how far back it looks, and how a variable is filled in.
export interface Context {
  prometheus: string;
  from: number; // seconds since 1970
  to: number;
  variables: Record<string, string>;
}

export function duration(text: string): number {
  const m = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  if (!m) {
    throw new Error(`not a duration: ${text}`);
  }
  return Number(m[1]) * { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 }[m[2] as 's'];
}

// Grafana rounds the interval to what a person would choose.
const nice = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

export function interval(ctx: Context, points: number, least: number): number {
  const exact = (ctx.to - ctx.from) / Math.max(points, 1);
  const limits = [1.5, 3.5, 7.5, 12.5, 17.5, 25, 45, 90, 210, 450, 750, 1050, 1500, 2700, 5400, 9000, 16200, 32400, 64800, Infinity];
  return Math.max(nice[limits.findIndex((l) => exact <= l)], least);
}

export function interpolate(text: string, ctx: Context, own: Record<string, string> = {}): string {
  const all: Record<string, string> = { ...ctx.variables, ...own };
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (whole, a, b) => all[a ?? b] ?? whole);
}

export async function call(ctx: Context, path: string, parameters: Record<string, string>): Promise<any> {
  const response = await fetch(`${ctx.prometheus}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const body = await response.json();
  if (body.status !== 'success') {
    throw new Error(body.error);
  }
  return body.data;
}

export async function ask(t: Target, ctx: Context, points: number): Promise<{ series: Series[]; step: number; expr: string }> {
  const least = duration(t.interval || '5s');
  const step = interval(ctx, points, least);
  const range = Math.round(ctx.to - ctx.from);
  const expr = interpolate(t.expr, ctx, {
    __interval: `${step}s`, __rate_interval: `${Math.max(step + least, 4 * least)}s`, __range: `${range}s`, __range_s: `${range}`,
  });
  if (/\$(?!\d)/.test(expr)) {
    throw new Error(`a variable that nobody fills in: ${expr}`);
  }
  const times = t.instant
    ? { time: `${ctx.to}` }
    : { start: `${Math.floor(ctx.from / step) * step}`, end: `${Math.floor(ctx.to / step) * step}`, step: `${step}` };
  const data = await call(ctx, t.instant ? 'query' : 'query_range', { query: expr, ...times });
  if (data.resultType === 'scalar') {
    return { series: [{ metric: {}, value: data.result }], step, expr };
  }
  return { series: data.result, step, expr };
}

export function legend(t: Target, metric: Record<string, string>): string | undefined {
  if (!t.legendFormat || t.legendFormat === '__auto') {
    return undefined;
  }
  return t.legendFormat.replace(/\{\{\s*([^}]+?)\s*\}\}/g, (_, name) => metric[name] ?? name);
}

// A frame a series.
export function seriesFrames(t: Target, series: Series[], step: number): DataFrame[] {
  return series.map((s) => {
    const points = s.values ?? (s.value ? [s.value] : []);
    const time: Field = { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: points.map((p) => p[0] * 1000) };
    const value: Field = {
      name: 'Value', type: FieldType.number, labels: s.metric, values: points.map((p) => Number(p[1])),
      config: { displayNameFromDS: legend(t, s.metric) },
    };
    return { refId: t.refId, fields: [time, value], length: points.length };
  });
}

// One frame a query: time, the labels, the value. The value's column has the
// query's letter only if more than one query of the panel has a result.
export function tableFrame(t: Target, series: Series[], answered: number): DataFrame {
  const labels = [...new Set(series.flatMap((s) => Object.keys(s.metric)))].sort();
  const rows = series.flatMap((s) => (s.value ? [s.value] : s.values!.slice(-1)).map((v) => ({ s, v })));
  const fields: Field[] = [
    { name: 'Time', type: FieldType.time, config: {}, values: rows.map((r) => r.v[0] * 1000) },
    ...labels.map((l): Field => ({ name: l, type: FieldType.string, config: {}, values: rows.map((r) => r.s.metric[l] ?? '') })),
    { name: answered > 1 ? `Value #${t.refId}` : 'Value', type: FieldType.number, config: {}, values: rows.map((r) => Number(r.v[1])) },
  ];
  return { refId: t.refId, fields, length: rows.length };
}

// The variables of a dashboard; given are those of the page's address.
export async function variables(list: any[], ctx: Context, given: URLSearchParams): Promise<{ shown: Array<[string, string]>; problems: string[] }> {
  const shown: Array<[string, string]> = [];
  const problems: string[] = [];
  for (const v of list) {
    let text = given.get(`var-${v.name}`) ?? '';
    let value = text;
    if (v.type === 'datasource') {
      text = value = 'Prometheus';
    } else if (v.type === 'textbox') {
      text = value = text || v.query;
    } else if (v.type === 'query') {
      const m = /^label_values\((?:(.*),\s*)?(\w+)\)$/.exec(v.query.query);
      if (!m) {
        problems.push(`variable ${v.name}: ${v.query.query} is not known here`);
        continue;
      }
      const found = await call(ctx, 'series', { 'match[]': interpolate(m[1], ctx), start: `${ctx.from}`, end: `${ctx.to}` });
      const options = [...new Set(found.map((s: any) => s[m[2]]).filter(Boolean))].sort() as string[];
      if (options.length === 0) {
        problems.push(`variable ${v.name} has no options`);
      }
      if (text && !options.includes(text)) {
        problems.push(`variable ${v.name} has no option ${text}`);
      }
      if (!text) {
        text = v.includeAll ? 'All' : (options[0] ?? '');
        value = v.includeAll ? v.allValue : text;
      }
    } else {
      problems.push(`variable ${v.name}: the type ${v.type} is not known here`);
    }
    ctx.variables[v.name] = value;
    if (v.hide !== 2) {
      shown.push([v.label || v.name, text]);
    }
  }
  return { shown, problems };
}
