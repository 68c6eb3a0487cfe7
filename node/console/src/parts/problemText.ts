import { useCallback } from 'react';
import { Problem } from '../api/client';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';

/** Codes that deserve the console's own words; all others are told in the node's. */
const known: Record<string, TextKey> = {
  unreachable: 'problem.unreachable',
  wrong_credentials: 'problem.wrong_credentials',
  too_many_logins: 'problem.too_many_attempts',
  too_many_claims: 'problem.too_many_attempts',
  too_many_links: 'problem.too_many_attempts',
  link_not_valid: 'problem.link_not_valid',
  view_over: 'problem.view_over',
  view_ended: 'problem.view_ended',
  too_many_views: 'problem.too_many_views',
  recovery_key_wrong: 'problem.recovery_key_wrong',
  wrong_claim_code: 'problem.wrong_claim_code',
  already_claimed: 'problem.already_claimed',
  name_taken: 'problem.username_taken',
  not_found: 'problem.not_found',
  asset_not_found: 'problem.not_found',
  disk_full: 'problem.disk_full',
  damaged: 'problem.damaged',
  not_signed_in: 'problem.not_signed_in',
  session_ended: 'problem.not_signed_in',
  forbidden: 'problem.forbiddenText',
  not_webvtt: 'problem.not_webvtt',
  bad_webvtt: 'problem.bad_webvtt',
  captions_too_large: 'problem.captions_too_large',
  captions_markup_refused: 'problem.captions_markup_refused',
  captions_empty: 'problem.captions_empty',
};

/** Says in one sentence, in the reader's language, what went wrong. */
export function useProblemText(): (error: unknown) => string {
  const { t } = useText();
  return useCallback(
    (error) => {
      if (!(error instanceof Problem)) return error instanceof Error ? error.message : String(error);
      const key = known[error.code];
      return key ? t(key) : (error.detail ?? error.title);
    },
    [t],
  );
}
