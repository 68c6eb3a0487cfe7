/** What was typed so far, kept in this tab only; never a passphrase, never the recovery key. */
export interface SetupDraft {
  step: 'code' | 'account' | 'done';
  code: string;
  username: string;
  application: string;
}

const storageKey = 'mediakeep.setup';
const empty: SetupDraft = { step: 'code', code: '', username: '', application: '' };

export function readDraft(): SetupDraft {
  try {
    return { ...empty, ...(JSON.parse(sessionStorage.getItem(storageKey) ?? '{}') as Partial<SetupDraft>) };
  } catch {
    return empty;
  }
}

export function writeDraft(draft: SetupDraft): SetupDraft {
  try {
    sessionStorage.setItem(storageKey, JSON.stringify(draft));
  } catch {
    // Without storage the wizard works, it only starts anew after a reload.
  }
  return draft;
}

export function forgetDraft(): void {
  try {
    sessionStorage.removeItem(storageKey);
  } catch {
    // Nothing was stored then.
  }
}
