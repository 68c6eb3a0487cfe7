/** `<input type="datetime-local">` speaks local time without a zone; the API speaks milliseconds. */
export function toLocalInput(ms: number | null | undefined): string {
  if (!ms) return '';
  const time = new Date(ms);
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

export function fromLocalInput(text: string | undefined): number | undefined {
  const ms = text ? new Date(text).getTime() : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
