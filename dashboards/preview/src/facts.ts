// What is to be seen on the page, as plain data: tools/preview judges it.

export interface PanelNotes { errors: string[]; silent: string[]; idle: string[] }

// clipped is text that a person cannot read to its end.
function clipped(panel: Element): string[] {
  const out: string[] = [];
  const walk = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const text = n.textContent!.trim();
    const parent = n.parentElement!;
    if (!text || parent.closest('style, svg, [aria-hidden="true"]') || getComputedStyle(parent).visibility === 'hidden') continue;
    const range = document.createRange();
    range.selectNodeContents(n);
    const box = range.getBoundingClientRect();
    if (box.width === 0) continue;
    for (let e: Element | null = parent; e && e !== panel.parentElement; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.overflowX === 'visible' && style.overflowY === 'visible') continue;
      const r = e.getBoundingClientRect();
      if (!/auto|scroll/.test(style.overflowX) && style.overflowX !== 'visible' && (box.right > r.right + 1.5 || box.left < r.left - 1.5)) {
        out.push(text);
        break;
      }
      // Rows further down in a list that scrolls are not cut off.
      if (/auto|scroll/.test(style.overflowY)) break;
      if (style.overflowY === 'hidden' && (box.bottom > r.bottom + 3 || box.top < r.top - 3)) {
        out.push(text);
        break;
      }
    }
  }
  return [...new Set(out)];
}

// scrolls are boxes with something below their lower edge.
function scrolls(panel: Element): string[] {
  const out: string[] = [];
  for (const e of panel.querySelectorAll('*')) {
    const style = getComputedStyle(e);
    if (/auto|scroll/.test(style.overflowY) && e.scrollHeight > e.clientHeight + 2) {
      out.push(`${e.scrollHeight - e.clientHeight} px below`);
    }
    if (/auto|scroll/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 2) {
      out.push(`${e.scrollWidth - e.clientWidth} px beside`);
    }
  }
  return out;
}

// ink is how many of a canvas's pixels have a colour that is no grey.
function ink(canvas: HTMLCanvasElement): number {
  const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 60 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) n++;
  }
  return n;
}

export function facts(panels: Array<{ panel: any; notes: PanelNotes; frames: any[] }>, problems: string[]) {
  const list = panels.map(({ panel, notes, frames }) => {
    const e = document.querySelector(`[data-panel="${panel.id}"]`)!;
    const r = e.getBoundingClientRect();
    const attr = (name: string, of: Element = e) => [...of.querySelectorAll(`[data-${name}]`)];
    const plot = e.querySelector<HTMLCanvasElement>('.uplot canvas');
    return {
      id: panel.id, title: panel.title, type: panel.type, ...notes,
      box: [r.left, r.top + window.scrollY, r.right, r.bottom + window.scrollY].map(Math.round),
      empty: e.querySelector('[data-empty]')?.getAttribute('data-empty') ?? '',
      values: attr('value').map((v) => {
        const box = v.getBoundingClientRect();
        const sizes = [...v.querySelectorAll('span,div')].filter((x) => x.childElementCount === 0 && x.textContent).map((x) => parseFloat(getComputedStyle(x).fontSize));
        return {
          text: (v as HTMLElement).dataset.text, title: (v as HTMLElement).dataset.title, color: (v as HTMLElement).dataset.color,
          size: Math.max(0, ...sizes), outside: box.bottom > r.bottom + 1 || box.right > r.right + 1,
        };
      }),
      rows: attr('row').map((x) => ({
        name: (x as HTMLElement).dataset.row, height: attr('row-label', x)[0].getBoundingClientRect().height,
        spans: attr('span', x).map((s) => ({ text: (s as HTMLElement).dataset.span, color: (s as HTMLElement).dataset.color, seconds: Number((s as HTMLElement).dataset.seconds) })),
      })),
      cells: [...e.querySelectorAll('[role="row"]')].map((row) => [...row.querySelectorAll('[role="gridcell"],[role="columnheader"]')].map((c) => ({
        text: (c.textContent ?? '').trim(),
        color: getComputedStyle(c.querySelector('div') && getComputedStyle(c).backgroundColor === 'rgba(0, 0, 0, 0)' ? c.querySelector('div')! : c).backgroundColor,
      }))),
      legend: [...e.querySelectorAll('[aria-label^="VizLegend"] button, button[class*="LegendLabel"], li button')].map((x) => (x.textContent ?? '').trim()).filter(Boolean),
      series: panel.type === 'table' ? 0 : frames.length,
      plot: plot ? { height: (e.querySelector('.u-over') as HTMLElement).clientHeight, ink: ink(plot) } : null,
      clipped: clipped(e), scrolls: scrolls(e),
      text: (e as HTMLElement).innerText,
    };
  });
  return {
    problems, panels: list, warning: document.querySelector('[data-warning]')?.textContent ?? '',
    page: { width: document.documentElement.scrollWidth, window: window.innerWidth },
  };
}
