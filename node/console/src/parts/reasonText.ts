import { useCallback } from 'react';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';

/** Why a file could not be processed: the codes of the node that the console says in the reader's language. */
const known: Record<string, TextKey> = {
  unsupported_container: 'reason.unsupported_container',
  no_playable_tracks: 'reason.no_playable_tracks',
  damaged: 'reason.damaged',
  empty: 'reason.empty',
  too_large_picture: 'reason.too_large_picture',
  too_many_tracks: 'reason.too_many_tracks',
  decoder_crashed: 'reason.decoder_crashed',
  stalled: 'reason.stalled',
  cancelled: 'reason.cancelled',
  source_unreadable: 'reason.source_unreadable',
  storage_failed: 'reason.storage_failed',
  still_picture: 'reason.still_picture',
  animated_picture: 'reason.animated_picture',
  no_decoder: 'reason.no_decoder',
  empty_track: 'reason.empty_track',
  broken: 'reason.broken',
};

interface Failed {
  reason_code?: string | null;
  reason?: string | null;
}

/** Says why an asset or a job failed: in English in the node's own words, which may say more than its code, else by the code. */
export function useReasonText(): (failed: Failed) => string | undefined {
  const { t, language } = useText();
  return useCallback(
    (failed) => {
      const key = known[failed.reason_code ?? ''];
      return key && (language !== 'en' || !failed.reason) ? t(key) : (failed.reason ?? undefined);
    },
    [t, language],
  );
}
