// The panel types that the dashboards have. All but the timeline is Grafana's
// own; its state timeline is in no library, so this one only resembles it.
import { useEffect, useRef } from 'react';
import { getFieldDisplayName, getFieldDisplayValues, dateTime, VizOrientation, type DataFrame, type DisplayValue, type FieldDisplay, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import { BigValue, TimeSeries, VizLayout, VizLegend, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

export interface Line { at: number; name: string; color: string }

export interface Props { panel: any; frames: DataFrame[]; theme: GrafanaTheme2; width: number; height: number; range: TimeRange; lines: Line[] }

export function Stat({ panel, frames, theme, width, height }: Props) {
  const values = getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (s) => s, theme, timeZone: 'utc',
  });
  return (
    <VizRepeater<FieldDisplay, any>
      source={frames} getValues={() => values} renderCounter={0} width={width} height={height} itemSpacing={3} autoGrid
      orientation={panel.options.orientation === 'auto' || !panel.options.orientation ? VizOrientation.Auto : panel.options.orientation}
      renderValue={(p) => (
        <div data-value data-text={p.value.display.text} data-title={p.value.display.title ?? ''} data-color={p.value.display.color ?? ''}>
          <BigValue theme={theme} width={p.width} height={p.height} value={p.value.display} count={p.count}
            colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode={panel.options.justifyMode} textMode={panel.options.textMode}
            text={panel.options.text} disableWideLayout={panel.options.wideLayout === false} />
        </div>
      )}
    />
  );
}

export function Table({ panel, frames, width, height, range }: Props) {
  const sort = (panel.options.sortBy ?? []).map((s: any) => ({ displayName: s.displayName, desc: s.desc }));
  return <TableNG data={frames[0]} width={width} height={height} sortBy={sort} fieldConfig={panel.fieldConfig} timeRange={range}
    enableVirtualization={false} cellHeight={panel.options.cellHeight} noValue={panel.fieldConfig.defaults.noValue} />;
}

export function Graph({ panel, frames, theme, width, height, range, lines }: Props) {
  return (
    <TimeSeries frames={frames} width={width} height={height} timeRange={range} timeZone="utc" legend={panel.options.legend} options={panel.options}>
      {(builder) => {
        builder.addHook('draw', (u) => {
          for (const l of lines) {
            const x = Math.round(u.valToPos(l.at * 1000, 'x', true));
            u.ctx.save();
            u.ctx.strokeStyle = theme.visualization.getColorByName(l.color);
            u.ctx.setLineDash([4, 3]);
            u.ctx.beginPath();
            u.ctx.moveTo(x, u.bbox.top);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
            u.ctx.restore();
          }
        });
        return null;
      }}
    </TimeSeries>
  );
}

interface Span { from: number; to: number; value: DisplayValue }

// spans joins neighbours of one value; a hole longer than two steps is a gap.
function spans(frame: DataFrame): Span[] {
  const [time, value] = [frame.fields[0], frame.fields[1]];
  const step = time.config.interval ?? 5000;
  const out: Span[] = [];
  let last: number | undefined;
  frame.fields[0].values.forEach((at: number, i: number) => {
    const v = value.values[i];
    const before = out[out.length - 1];
    if (before && last === v && at - before.to <= step) {
      before.to = at + step;
    } else {
      if (before && before.to > at) before.to = at;
      out.push({ from: at, to: at + step, value: value.display!(v) });
    }
    last = v;
  });
  return out;
}

export function Timeline({ panel, frames, theme, width, height, range }: Props) {
  const rows = frames.map((f) => ({ name: getFieldDisplayName(f.fields[1], f, frames), spans: spans(f) }));
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const seen = new Map<string, string>();
  for (const r of rows) for (const s of r.spans) seen.set(s.value.text, s.value.color ?? '');
  const legend = panel.options.legend.showLegend ? (
    <VizLayout.Legend placement="bottom">
      <VizLegend placement="bottom" displayMode={panel.options.legend.displayMode} items={[...seen].map(([label, color]) => ({ label, color, yAxis: 1 }))} />
    </VizLayout.Legend>
  ) : null;
  const measure = useRef(document.createElement('canvas').getContext('2d')!).current;
  measure.font = '12px Inter';
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(w: number, h: number) => {
        const label = Math.min(Math.max(...rows.map((r) => measure.measureText(r.name).width)) + 12, w * 0.45);
        const axis = 18;
        const row = (h - axis) / rows.length;
        const plot = w - label - 8;
        const x = (at: number) => (plot * (Math.min(Math.max(at, from), to) - from)) / (to - from);
        const ticks = Array.from({ length: plot > 500 ? 6 : 3 }, (_, i) => from + ((i + 0.5) * (to - from)) / (plot > 500 ? 6 : 3));
        return (
          <div data-timeline style={{ position: 'relative', width: w, height: h, fontSize: 12, color: theme.colors.text.primary }}>
            {rows.map((r, n) => (
              <div key={r.name + n} data-row={r.name}>
                <div data-row-label style={{ position: 'absolute', left: 0, top: n * row, width: label - 8, height: row, lineHeight: `${row}px`, textAlign: 'right', whiteSpace: 'nowrap', overflow: 'hidden', textOverflow: 'ellipsis', fontSize: Math.min(12, row) }}>{r.name}</div>
                {r.spans.filter((s) => s.to > from && s.from < to).map((s, i) => (
                  <div key={i} data-span={s.value.text} data-color={s.value.color} data-seconds={(s.to - s.from) / 1000} title={s.value.text}
                    style={{ position: 'absolute', left: label + x(s.from), width: Math.max(x(s.to) - x(s.from), 1), top: n * row + row * 0.08, height: row * 0.84, background: s.value.color, opacity: 0.85 }} />
                ))}
              </div>
            ))}
            {ticks.map((t) => (
              <div key={t} style={{ position: 'absolute', left: label + x(t) - 30, top: h - axis + 2, width: 60, textAlign: 'center', color: theme.colors.text.secondary }}>
                {dateTime(t).utc().format(to - from > 86400000 ? 'DD HH:mm' : 'HH:mm')}
              </div>
            ))}
          </div>
        );
      }}
    </VizLayout>
  );
}

export function Empty({ text, theme, width, height }: { text: string; theme: GrafanaTheme2; width: number; height: number }) {
  return <div data-empty={text} style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary, fontSize: 18 }}>{text}</div>;
}

export const kinds: Record<string, (p: Props) => any> = { stat: Stat, table: Table, timeseries: Graph, 'state-timeline': Timeline };

// useDrawn tells the page that this panel's canvas has had its turn.
export function useDrawn(f: () => void) {
  useEffect(f);
}
