import { useCallback } from 'react';
import { Problem } from '../api/client';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';

/** Codes that deserve the console's own words; all others are told in the node's. */
const known: Record<string, TextKey> = {
  unreachable: 'problem.unreachable',
  wrong_credentials: 'problem.wrong_credentials',
  invalid_credentials: 'problem.wrong_credentials',
  too_many_attempts: 'problem.too_many_attempts',
  too_many_requests: 'problem.too_many_attempts',
  wrong_claim_code: 'problem.wrong_claim_code',
  already_claimed: 'problem.already_claimed',
  username_taken: 'problem.username_taken',
  not_found: 'problem.not_found',
  asset_not_found: 'problem.not_found',
  disk_full: 'problem.disk_full',
  insufficient_storage: 'problem.disk_full',
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
