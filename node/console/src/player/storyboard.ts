/** The storyboard: WebVTT cues that name a rectangle of one sheet of small pictures. */
export interface StoryboardCell {
  start: number;
  end: number;
  url: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

const time = /^(?:(\d+):)?(\d{2}):(\d{2})\.(\d{3})$/;

function seconds(text: string): number {
  const match = time.exec(text.trim());
  if (!match) return Number.NaN;
  return Number(match[1] ?? 0) * 3600 + Number(match[2]) * 60 + Number(match[3]) + Number(match[4]) / 1000;
}

/** Reads the cues; a line that makes no sense is left out, since a preview is a convenience. */
export function parseStoryboard(text: string, base: string): StoryboardCell[] {
  const cells: StoryboardCell[] = [];
  for (const block of text.replace(/\r\n?/g, '\n').split(/\n{2,}/)) {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => line.includes('-->'));
    const [from, to] = (lines[at] ?? '').split('-->');
    const picture = /^(.*)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec((lines[at + 1] ?? '').trim());
    if (at < 0 || from === undefined || to === undefined || !picture) continue;
    const cell = { start: seconds(from), end: seconds(to.trim().split(/\s/)[0] ?? '') };
    const url = new URL(picture[1] ?? '', new URL(base, location.href));
    if (Number.isNaN(cell.start) || Number.isNaN(cell.end) || url.origin !== location.origin) continue;
    const [x, y, width, height] = picture.slice(2).map(Number) as [number, number, number, number];
    cells.push({ ...cell, url: url.href, x, y, width, height });
  }
  return cells;
}

/** Fetches and reads it; an asset without one simply has no previews. */
export async function loadStoryboard(address: string): Promise<StoryboardCell[]> {
  const answer = await fetch(address, { credentials: 'same-origin' });
  return answer.ok ? parseStoryboard(await answer.text(), address) : [];
}

export function cellAt(cells: StoryboardCell[], second: number): StoryboardCell | undefined {
  return cells.find((cell) => second >= cell.start && second < cell.end) ?? cells.at(-1);
}
