/**
 * The View this tab ended last. A page that is loaded again asks to watch before the node has heard that the View before is over; it names that one,
 * so that it is not one too many. Kept for the tab only, and taken once.
 */
const key = 'mediakeep.ended-view';

export function noteEnded(view: string): void {
  try {
    sessionStorage.setItem(key, view);
  } catch {
    // Without storage the person is asked which one to end.
  }
}

export function takeEnded(): string | undefined {
  try {
    const view = sessionStorage.getItem(key) ?? undefined;
    sessionStorage.removeItem(key);
    return view;
  } catch {
    return undefined;
  }
}
