import { Stepper } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { meQuery, systemQuery } from '../../api/queries';
import { ErrorState, RowsSkeleton, takesThePage } from '../../parts/States';
import { useText } from '../../text/TextProvider';
import { Outside } from '../login/Outside';
import { AccountStep } from './AccountStep';
import { CodeStep } from './CodeStep';
import { forgetDraft, readDraft, type SetupDraft, writeDraft } from './draft';
import { RecoveryStep } from './RecoveryStep';
import { AlreadyClaimed, SummaryStep } from './SummaryStep';

/**
 * The first run: claim code, account and application, recovery key, summary.
 *
 * Reload-safe: what was typed (never the passphrase) is kept in the tab; once claimed, the node knows whether the recovery key was confirmed.
 */
export function SetupPage() {
  const { t } = useText();
  const system = useQuery(systemQuery);
  const claimed = system.data?.claimed === true;
  const me = useQuery({ ...meQuery, enabled: claimed });
  const [draft, setDraft] = useState<SetupDraft>(readDraft);
  const [recoveryKey, setRecoveryKey] = useState<string | null>(null);
  const change = (part: Partial<SetupDraft>) => setDraft((before) => writeDraft({ ...before, ...part }));
  const confirmed = me.data?.recovery_unconfirmed !== true;
  const waiting = system.isPending || (claimed && me.isPending);

  if (takesThePage(system)) {
    return (
      <Outside title={t('setup.title')}>
        <ErrorState error={system.error} retry={() => void system.refetch()} />
      </Outside>
    );
  }
  if (waiting && recoveryKey === null) {
    return (
      <Outside title={t('setup.title')}>
        <RowsSkeleton rows={3} />
      </Outside>
    );
  }
  const justClaimed = recoveryKey !== null || draft.step === 'done';
  if (claimed && !justClaimed && (me.data == null || confirmed)) {
    return (
      <Outside title={t('setup.title')}>
        <AlreadyClaimed signedIn={me.data != null} />
      </Outside>
    );
  }
  const step = draft.step === 'done' ? 3 : claimed || recoveryKey !== null ? 2 : draft.step === 'account' ? 1 : 0;
  return (
    <Outside title={t('setup.title')} wide>
      <Stepper active={step} size="sm" iconSize={30} aria-label={t('setup.steps')} allowNextStepsSelect={false}>
        <Stepper.Step label={t('setup.step.code')} allowStepSelect={false}>
          <CodeStep draft={draft} change={change} fingerprint={system.data?.certificate_fingerprint ?? undefined} />
        </Stepper.Step>
        <Stepper.Step label={t('setup.step.account')} allowStepSelect={false}>
          <AccountStep draft={draft} change={change} claimed={setRecoveryKey} />
        </Stepper.Step>
        <Stepper.Step label={t('setup.step.recovery')} allowStepSelect={false}>
          <RecoveryStep recoveryKey={recoveryKey} confirmed={() => change({ step: 'done' })} />
        </Stepper.Step>
        <Stepper.Step label={t('setup.step.summary')} allowStepSelect={false}>
          <SummaryStep leave={forgetDraft} />
        </Stepper.Step>
      </Stepper>
    </Outside>
  );
}
