// Field options, overrides and transformations, by Grafana's own code.
import {
  applyFieldOverrides, cacheFieldDisplayNames, fieldMatchers, FieldConfigOptionsRegistry, getValueFormatterIndex, identityOverrideProcessor,
  standardTransformers, standardTransformersRegistry, transformDataFrame, type DataFrame, type FieldConfigPropertyItem, type GrafanaTheme2,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

const standard = ['unit', 'min', 'max', 'fieldMinMax', 'decimals', 'displayName', 'noValue', 'thresholds', 'mappings', 'links', 'actions', 'color', 'filterable'];

const custom: Record<string, string[]> = {
  stat: [],
  'state-timeline': ['lineWidth', 'fillOpacity', 'spanNulls', 'insertNulls', 'hideFrom'],
  table: ['align', 'width', 'minWidth', 'cellOptions', 'filterable', 'hidden', 'inspect', 'hideFrom'],
  timeseries: [
    'drawStyle', 'lineInterpolation', 'lineWidth', 'lineStyle', 'lineColor', 'fillOpacity', 'fillBelowTo', 'fillColor', 'gradientMode', 'pointSize', 'showPoints',
    'spanNulls', 'insertNulls', 'stacking', 'barAlignment', 'barWidthFactor', 'barMaxWidth', 'transform', 'hideFrom', 'thresholdsStyle',
    'axisPlacement', 'axisLabel', 'axisWidth', 'axisColorMode', 'axisSoftMin', 'axisSoftMax', 'axisGridShow', 'axisCenteredZero', 'axisBorderShow', 'scaleDistribution',
  ],
};

const defaults: Record<string, object> = {
  stat: {},
  'state-timeline': { lineWidth: 0, fillOpacity: 70, spanNulls: false },
  table: { align: 'auto', cellOptions: { type: 'auto' } },
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', pointSize: 5, showPoints: 'auto', spanNulls: false,
    stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto', axisLabel: '', axisColorMode: 'text', axisGridShow: true, axisBorderShow: false,
    scaleDistribution: { type: 'linear' }, thresholdsStyle: { mode: 'off' }, hideFrom: { tooltip: false, viz: false, legend: false }, barAlignment: 0, barWidthFactor: 0.6,
  },
};

export const panelTypes = Object.keys(custom);

const registries: Record<string, FieldConfigOptionsRegistry> = {};

function registry(type: string): FieldConfigOptionsRegistry {
  return (registries[type] ??= new FieldConfigOptionsRegistry(() => {
    const item = (path: string, isCustom: boolean): FieldConfigPropertyItem => ({
      id: isCustom ? `custom.${path}` : path, path, name: path, isCustom, editor: () => null, override: () => null, process: identityOverrideProcessor,
      shouldApply: (field) => !isCustom || type !== 'timeseries' || field.type === 'number',
    } as FieldConfigPropertyItem);
    return [...standard.map((id) => item(id, false)), ...custom[type].map((id) => item(id, true))];
  }));
}

export function init() {
  const seen = new Set<string>();
  standardTransformersRegistry.setInit(() =>
    Object.values(standardTransformers).filter((t: any) => !seen.has(t.id) && seen.add(t.id)).map((t: any) => ({
      id: t.id, name: t.name, transformation: async () => t, editor: () => null, imageDark: '', imageLight: '',
    })) as any);
}

export async function transform(panel: any, frames: DataFrame[]): Promise<DataFrame[]> {
  return panel.transformations?.length ? firstValueFrom(transformDataFrame(panel.transformations, frames)) : frames;
}

// What of a panel's JSON means nothing to Grafana's libraries.
export function lint(panel: any): string[] {
  const out: string[] = [];
  const r = registry(panel.type);
  const units = new Set<string>();
  const note = (unit: unknown) => typeof unit === 'string' && units.add(unit);
  note(panel.fieldConfig.defaults.unit);
  for (const key of Object.keys(panel.fieldConfig.defaults)) {
    if (key !== 'custom' && !r.getIfExists(key)) out.push(`unknown option ${key}`);
  }
  for (const key of Object.keys(panel.fieldConfig.defaults.custom ?? {})) {
    if (!r.getIfExists(`custom.${key}`)) out.push(`unknown option custom.${key}`);
  }
  for (const o of panel.fieldConfig.overrides) {
    if (!fieldMatchers.getIfExists(o.matcher.id)) out.push(`unknown matcher ${o.matcher.id}`);
    for (const p of o.properties) {
      if (!r.getIfExists(p.id)) out.push(`unknown override ${p.id}`);
      if (p.id === 'unit') note(p.value);
    }
  }
  for (const unit of units) {
    if (!getValueFormatterIndex()[unit] && !/^(time|prefix|suffix):/.test(unit)) out.push(`unknown unit ${unit}`);
  }
  for (const t of panel.transformations ?? []) {
    if (!standardTransformersRegistry.getIfExists(t.id)) out.push(`unknown transformation ${t.id}`);
  }
  return out;
}

export function dress(panel: any, frames: DataFrame[], theme: GrafanaTheme2): DataFrame[] {
  const config = structuredClone(panel.fieldConfig);
  config.defaults.custom = { ...defaults[panel.type], ...config.defaults.custom };
  const base = (steps?: any[]) => steps?.forEach((s, i) => { if (i === 0) s.value = -Infinity; });
  base(config.defaults.thresholds?.steps);
  for (const o of config.overrides) {
    for (const p of o.properties) if (p.id === 'thresholds') base(p.value.steps);
  }
  const copy = frames.map((f) => ({ ...f, fields: f.fields.map((x) => ({ ...x, config: { ...x.config }, state: undefined })) }));
  const out = applyFieldOverrides({ data: copy, fieldConfig: config, fieldConfigRegistry: registry(panel.type), replaceVariables: (s) => s, theme, timeZone: 'utc' });
  cacheFieldDisplayNames(out);
  return out;
}

// Overrides that match none of the fields are a misspelt name.
export function idle(panel: any, frames: DataFrame[]): string[] {
  const names = new Set(frames.flatMap((f) => f.fields.map((x) => x.state?.displayName ?? x.name)));
  return panel.fieldConfig.overrides.filter((o: any) => o.matcher.id === 'byName' && !names.has(o.matcher.options)).map((o: any) => o.matcher.options);
}
