/** Where somebody stopped watching, kept in this browser only. */
const prefix = 'mediakeep.position.';
/** Neither the first seconds nor the last are worth going back to. */
const edge = 10;

export function readPosition(asset: string): number {
  try {
    const value = Number(localStorage.getItem(prefix + asset));
    return Number.isFinite(value) && value > 0 ? value : 0;
  } catch {
    return 0;
  }
}

export function writePosition(asset: string, position: number, duration: number): void {
  try {
    if (position < edge || position > duration - edge) localStorage.removeItem(prefix + asset);
    else localStorage.setItem(prefix + asset, position.toFixed(1));
  } catch {
    // Without storage every video starts at its beginning.
  }
}
