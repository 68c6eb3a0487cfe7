/** Numbers, sizes and times as people of one language write them. */
import type { Language } from './t';

export interface Formats {
  bytes: (bytes: number) => string;
  bitrate: (bitsPerSecond: number) => string;
  date: (ms: number) => string;
  dateTime: (ms: number) => string;
  relative: (ms: number, now: number) => string;
  percent: (fraction: number) => string;
  number: (value: number) => string;
  languageName: (code: string) => string;
}

const relativeSteps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000_000],
  ['month', 2_592_000_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

export function formatsFor(language: Language): Formats {
  const date = new Intl.DateTimeFormat(language, { dateStyle: 'medium' });
  const dateTime = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  const one = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const two = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
  const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  const names = new Intl.DisplayNames(language, { type: 'language', fallback: 'code' });
  return {
    bytes: (bytes) => withUnit(bytes, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], one),
    bitrate: (bits) => withUnit(bits, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'], one),
    date: (ms) => date.format(ms),
    dateTime: (ms) => dateTime.format(ms),
    relative: (ms, now) => relativeTime(ms - now, relative),
    percent: (fraction) => percent.format(fraction),
    number: (value) => two.format(value),
    languageName: (code) => languageName(code, names),
  };
}

function withUnit(value: number, units: string[], format: Intl.NumberFormat): string {
  let rest = value;
  let unit = 0;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${format.format(rest)} ${units[unit] ?? ''}`;
}

function relativeTime(difference: number, format: Intl.RelativeTimeFormat): string {
  for (const [unit, length] of relativeSteps) {
    if (Math.abs(difference) >= length) return format.format(Math.round(difference / length), unit);
  }
  return format.format(Math.round(difference / 1000), 'second');
}

function languageName(code: string, names: Intl.DisplayNames): string {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

/** `1:02:03` or `2:03`; what a player and a poster show. */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '0:00';
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}
