// Checks the dashboards against the types of Grafana's own libraries: unknown
// fields, wrong words of an enum, options that a panel does not have. The Go
// SDK's decoder knows no enum. node types.mjs FOLDER
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const raw = '@grafana/schema/dist/esm/raw/composable';
const prelude = `
import type * as S from '@grafana/schema';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
import type * as Stat from '${raw}/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from '${raw}/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Graph from '${raw}/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as Timeline from '${raw}/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
// An enum's members are written as their words; what has a default may be left out.
type Words<T> = 0 extends 1 & T ? any : T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T : { [K in keyof T]?: Words<T[K]> };
type Override = { matcher: { id: 'byName'; options: string }; properties: Array<{ id: string; value: any }> };
type Like<Type, Options, Custom> = Words<Omit<S.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'>> & {
  type: Type; options: Words<Options>; targets: Array<Words<Omit<Dataquery, '_implementsDataqueryVariant' | 'datasource'>> & { datasource: S.DataSourceRef }>;
  fieldConfig: { defaults: Words<Omit<S.FieldConfig, 'custom'>> & { custom?: Words<Custom> }; overrides: Override[] };
};
type Panel = Like<'stat', Stat.Options, {}> | Like<'table', Table.Options, Table.FieldConfig> | Like<'timeseries', Graph.Options, Graph.FieldConfig>
  | Like<'state-timeline', Timeline.Options, Timeline.FieldConfig> | Words<S.RowPanel>;
type Variable = Words<Omit<S.VariableModel, 'query'>> & { query: unknown; definition?: string };
type Board = Words<Omit<S.Dashboard, 'panels' | 'templating' | 'annotations' | 'time' | 'timepicker'>> & {
  panels: Panel[]; templating: { list: Variable[] }; time: { from: string; to: string }; timepicker: Words<S.TimePickerConfig>;
  annotations: { list: Array<Words<S.AnnotationQuery> & { expr: string; step: string; titleFormat: string; textFormat: string; tagKeys: string }> };
};
`;

const here = dirname(fileURLToPath(import.meta.url));

export function check(name, json) {
  const file = join(here, `${name}.check.ts`);
  const text = `${prelude}export const board: Board = ${json};\n`;
  const options = { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, types: [] };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (path, ...rest) => (path === file ? ts.createSourceFile(path, text, options.target) : getSourceFile.call(host, path, ...rest));
  host.fileExists = (path) => path === file || fileExists.call(host, path);
  host.readFile = (path) => (path === file ? text : readFile.call(host, path));
  const program = ts.createProgram([file], options, host);
  const before = prelude.split('\n').length;
  return ts.getPreEmitDiagnostics(program).map((d) => {
    const line = d.file?.fileName === file ? d.file.getLineAndCharacterOfPosition(d.start).line - before + 2 : 0;
    return `${name}:${line}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ').slice(0, 400)}`;
  });
}

const folder = process.argv[2];
const files = readdirSync(folder).filter((f) => f.endsWith('.json'));
const found = files.flatMap((f) => check(f, readFileSync(join(folder, f), 'utf8')));
for (const f of found) console.log(f);

// What this is worth: faults put into a good dashboard are told.
const good = readFileSync(join(folder, 'dag-fleet.json'), 'utf8');
const faults = [
  ['"colorMode": "value"', '"colorMode": "vlaue"'], ['"justifyMode"', '"justify"'], ['"type": "stat"', '"type": "stats"'], ['"showLegend"', '"showLegends"'],
  ['"mode": "thresholds"', '"mode": "threshold"'], ['"noValue"', '"novalue"'], ['"legendFormat"', '"legend"'], ['"displayMode": "list"', '"displayMode": "lists"'],
];
let missed = 0;
for (const [from, to] of faults) {
  if (!good.includes(from)) { console.log(`${from} is not in dag-fleet.json`); missed++; } else if (check('fault', good.replace(from, to)).length === 0) { console.log(`nothing was said about ${to}`); missed++; }
}
console.log(`types: ${files.length} dashboards, ${found.length} findings; ${faults.length - missed} of ${faults.length} faults told`);
process.exit(found.length || missed ? 1 : 0);
