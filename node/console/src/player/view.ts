/**
 * The right to watch, kept fresh: a View is started once and renewed before it ends.
 *
 * The player's loaders await `fresh()` before each request, so that no request goes out with a View about to end; a 401 marks it stale and the next
 * attempt waits for a new one.
 */
import * as api from '../api/calls';
import { Problem } from '../api/client';
import type { View } from '../api/model';
import { noteEnded, takeEnded } from './ended';

/** Renewed when less than this is left. */
const margin = 30_000;

export class ViewKeeper {
  private view: View | undefined;
  private stale = false;
  private renewing: Promise<void> | undefined;
  /** The answer with which the node ended the right to watch, if it did. */
  refusal: Problem | undefined;

  constructor(private readonly asset: string) {}

  /** Starts the View; gives the address of the playlist. */
  async start(inPlaceOf?: string): Promise<string> {
    this.view = await api.startView(this.asset, inPlaceOf ?? takeEnded());
    return this.view.playlist_url;
  }

  /** Frees the place of a View that is counted. Whether the node hears it or not, the next View of this tab begins in its place. */
  end(): void {
    const view = this.view;
    this.view = undefined;
    if (!view?.counted) return;
    noteEnded(view.view);
    api.endView(view.view).catch(() => undefined);
  }

  markStale(): void {
    this.stale = true;
  }

  /** Resolves when the View is good for a request; never rejects, so that the request itself gets the node's answer. */
  async fresh(): Promise<void> {
    if (this.refusal || !this.isEnding()) return;
    this.renewing ??= this.renew().finally(() => {
      this.renewing = undefined;
    });
    await this.renewing;
  }

  private isEnding(): boolean {
    return this.stale || (this.view !== undefined && this.view.expires_ms - Date.now() < margin);
  }

  private async renew(): Promise<void> {
    try {
      if (this.view) this.view = await api.renewView(this.view.renewal);
      this.stale = false;
    } catch (error) {
      if (error instanceof Problem && [401, 403, 404, 410].includes(error.status)) this.refusal = error;
    }
  }
}
